"""The report on a terminal fits it: tables are split, sentences wrapped, and commands left whole."""

from __future__ import annotations

import pytest

from bench.records import Status
from bench.records.store.runs import read_run
from bench.report import terminal
from bench.report.summary.summarise import RunSummary, summarise


@pytest.fixture
def summary(finished) -> RunSummary:
    """Two models that ended well, one under a long name that failed."""
    third = finished.add("ultralytics/yolo11n_seg with a label of its own")
    finished.write_plan()
    finished.write_job(
        third, "train", third.train_key, status=Status.CRASHED, reason="RuntimeError: " + "boom " * 30 + "at last"
    )
    return summarise(read_run(finished.run))


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_nothing_is_wider_than_the_terminal_but_commands(summary, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = terminal.render(summary).splitlines()
    assert not [line for line in lines if len(line) > width and not line.startswith("  bench run")]


def test_every_number_stands_in_one_of_the_parts_under_its_model(summary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = terminal.render(summary)
    words = terminal._fitted(terminal.tables.results_table(summary), None).split()
    assert not [word for word in words if word.strip("-") and word not in text]
    heads = [line for line in text.splitlines() if line.startswith("model ")]
    assert len(heads) > 1


def test_a_table_that_fits_or_goes_to_a_file_stays_whole(summary, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = terminal.render(summary)
    assert terminal._fitted(terminal.tables.results_table(summary), None) in whole
    monkeypatch.setenv("COLUMNS", "400")
    assert terminal.render(summary) == whole
