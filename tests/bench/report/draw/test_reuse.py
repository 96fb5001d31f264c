"""Pictures are drawn once: not again from the same facts, and again where facts or pictures changed."""

from __future__ import annotations

import json
import os

import pytest

from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import write_report
from bench.report.draw import pictures


@pytest.fixture
def drawn(monkeypatch):
    """How often pictures are drawn."""
    calls, draw = [], pictures.draw_pictures

    def counted(*arguments):
        calls.append(arguments)
        return draw(*arguments)

    monkeypatch.setattr(pictures, "draw_pictures", counted)
    return calls


def test_a_second_report_draws_nothing_and_is_the_same(untrained, drawn):
    folder = untrained.run.path
    first = write_report(read_run(untrained.run), folder)
    before = {path: path.read_bytes() for path in first}
    assert write_report(read_run(untrained.run), folder) == first
    assert {path: path.read_bytes() for path in first} == before
    assert len(drawn) == 1


@pytest.mark.slow
def test_a_picture_that_was_changed_or_removed_is_drawn_again(untrained, drawn):
    folder = untrained.run.path
    write_report(read_run(untrained.run), folder)
    picture = folder / "accuracy_latency.png"
    content = picture.read_bytes()
    for damage in (lambda: picture.write_bytes(b"x"), picture.unlink, lambda: (folder / layout.DRAWN).write_text("{")):
        damage()
        write_report(read_run(untrained.run), folder)
        assert picture.read_bytes() == content
    assert len(drawn) == 4


@pytest.mark.slow
def test_other_facts_another_threshold_and_other_forms_are_drawn_again(untrained, drawn):
    folder = untrained.run.path
    write_report(read_run(untrained.run), folder)
    write_report(read_run(untrained.run), folder, 0.3)
    write_report(read_run(untrained.run), folder, 0.3, plots=["svg"])
    os.utime(next(untrained.run.jobs.glob(f"*/{layout.SAMPLES}")), ns=(1, 1))
    write_report(read_run(untrained.run), folder, 0.3, plots=["svg"])
    write_report(read_run(untrained.run), folder, 0.3, plots=["svg"])
    assert len(drawn) == 4


def test_a_folder_of_the_users_gets_the_report_and_nothing_else(untrained, tmp_path):
    written = write_report(read_run(untrained.run), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {path.name for path in written} | {"report_images"}


@pytest.mark.slow
def test_a_run_that_is_planned_again_with_nothing_to_do_draws_nothing(finished, drawn):
    folder, plan = finished.run.path, finished.run.path / layout.PLAN
    write_report(read_run(finished.run), folder)
    document = json.loads(plan.read_text())
    plan.write_text(json.dumps({**document, "planned_at": "2030-01-01T00:00:00Z"}))
    write_report(read_run(finished.run), folder)
    assert "2030-01-01" in (folder / "results.json").read_text()
    assert len(drawn) == 1
