"""The summary that is kept beside a run: taken where nothing changed, computed anew where anything did."""

from __future__ import annotations

import os

import pytest

from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import write_report
from bench.report.summary import stored
from bench.report.summary.stored import stored_summary, summary_key
from bench.report.summary.summarise import summarise


@pytest.fixture
def counted(monkeypatch):
    """How often a summary is computed."""
    calls = []

    def computed(run, columns=None):
        calls.append(run)
        return summarise(run, columns)

    monkeypatch.setattr(stored, "summarise", computed)
    return calls


def test_a_second_report_computes_nothing_and_says_the_same(finished, counted):
    view = read_run(finished.run)
    first = stored_summary(view)
    again = stored_summary(read_run(finished.run))
    assert len(counted) == 1
    assert again == first == summarise(view)
    assert again.to_json() == first.to_json()


@pytest.mark.parametrize("file", [layout.SAMPLES, layout.OUTCOME, layout.TRAINING_LOG])
def test_a_changed_fact_is_another_summary(finished, counted, file):
    stored_summary(read_run(finished.run))
    fact = next(finished.run.jobs.glob(f"*/{file}"))
    os.utime(fact, ns=(1, 1))
    stored_summary(read_run(finished.run))
    assert len(counted) == 2


def test_columns_and_the_choice_of_cases_are_part_of_it(finished):
    view = read_run(finished.run)
    weather = {"": {"weather": dict.fromkeys(finished.ids, "rain")}}
    assert summary_key(view) != summary_key(view, weather)


def test_a_summary_that_was_changed_or_cut_off_is_not_believed(finished, counted):
    file = finished.run.path / layout.SUMMARY
    expected = stored_summary(read_run(finished.run))
    text = file.read_text()
    for damaged in (text.replace('"better"', '"worse"'), text[: len(text) // 2], "", "x"):
        file.write_text(damaged)
        assert stored_summary(read_run(finished.run)) == expected
    assert len(counted) == 5


@pytest.mark.slow
def test_a_report_that_is_made_anew_takes_nothing_from_it(finished, tmp_path):
    write_report(read_run(finished.run), tmp_path / "a")
    file = finished.run.path / layout.SUMMARY
    assert file.is_file()
    file.write_text("what an attacker wrote")
    write_report(read_run(finished.run), tmp_path / "b", anew=True)
    assert file.read_text() == "what an attacker wrote"
    for name in ("report.md", "results.json", "results.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
