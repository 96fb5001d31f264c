"""Tests what a run says while it works, and that it says nothing while something is timed."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from bench.records import Job, Outcome, Status
from bench.records.store import layout
from bench.run import console as console_module
from bench.run.console import CaseStates, RunConsole
from tests.bench.builders import make_job
from tests.bench.run.processes import wait_for


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=300, color_system=None)


def said(to: Console) -> str:
    return to.file.getvalue()


def outcome(**changes) -> Outcome:
    return Outcome(**{"status": Status.OK, "started_at": "2026-01-01T00:00:00Z", "wall_s": 1.25, **changes})


def told(job: Job, how: Outcome, folder, *, terminal: bool = False) -> str:
    to = console(terminal=terminal)
    teller = RunConsole(to, 12)
    with teller.watching(job, folder):
        pass
    teller.ended(job, how)
    return said(to)


def test_a_job_is_a_line_with_its_number_kind_case_status_and_seconds(tmp_path):
    words = told(make_job(), outcome(), tmp_path).split()
    assert words == ["1/12", "predict", *make_job().case_id.split(), "ok", "1.2", "s"]


def test_a_failure_says_why_on_the_same_line(tmp_path):
    line = told(make_job(), outcome(status=Status.CRASHED, reason="[red] out of luck"), tmp_path)
    assert line.rstrip("\n").endswith("[red] out of luck")
    assert line.count("\n") == 1


def test_a_long_reason_is_not_broken_into_lines(tmp_path):
    line = told(make_job(), outcome(status=Status.CRASHED, reason="word " * 200), tmp_path)
    assert line.count("\n") == 1


def test_nothing_is_drawn_while_something_is_timed(tmp_path, monkeypatch):
    def no_thread(*_: object, **__: object) -> None:
        raise AssertionError("a thread beside a measurement")

    monkeypatch.setattr(console_module.threading, "Thread", no_thread)
    to = console(terminal=True)
    with RunConsole(to, 1).watching(make_job(kind="time"), tmp_path):
        before = said(to)
        time.sleep(0.7)  # longer than a bar would wait before it is drawn again
        assert said(to) == before
    assert "timing" in before


def test_nothing_is_drawn_where_nobody_watches(tmp_path):
    to = console(terminal=False)
    with RunConsole(to, 1).watching(make_job(kind="train"), tmp_path):
        pass
    assert said(to) == ""


def shown(job: Job, folder) -> list[tuple[float | None, str]]:
    reader = console_module.progress_of(job, folder)
    return [next(reader), next(reader)]


def log(folder, *events: dict, tail: str = "") -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (folder / layout.TRAINING_LOG).write_text(lines + tail, encoding="utf-8")


STEP = {"event": "step", "step": 5, "images": 40, "train_s": 3.0, "loss": 0.5, "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("steps", "seconds", "share"), [(20, None, 0.25), (None, 4.0, 0.75), (20, 4.0, 0.75), (None, None, None)]
)
def test_a_training_is_as_far_as_the_limit_that_is_nearest(tmp_path, steps, seconds, share):
    log(tmp_path, {"event": "planned", "steps": steps, "seconds": seconds}, STEP)
    assert shown(make_job(kind="train"), tmp_path)[0] == (share, "step 5  loss 0.500")


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path):
    log(tmp_path, {"event": "planned", "steps": 10, "seconds": None}, STEP, tail='{"event": "st')
    reader = console_module.progress_of(make_job(kind="train"), tmp_path)
    assert next(reader)[0] == 0.5
    log(tmp_path, {"event": "planned", "steps": 10, "seconds": None}, STEP, {**STEP, "step": 9})
    assert next(reader)[0] == 0.9


def test_predicting_is_as_far_as_the_worker_says(tmp_path):
    assert shown(make_job(), tmp_path)[0] == (None, "")
    (tmp_path / layout.PROGRESS).write_text(json.dumps({"done": 30, "total": 40}))
    assert shown(make_job(), tmp_path)[0] == (0.75, "30 of 40 images")


def test_a_bar_is_shown_while_a_job_predicts_and_gone_when_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(console_module, "PROGRESS_INTERVAL_S", 0.02)
    (tmp_path / layout.PROGRESS).write_text(json.dumps({"done": 30, "total": 40}))
    to = console(terminal=True)
    with RunConsole(to, 1).watching(make_job(), tmp_path):
        wait_for(lambda: "30 of 40 images" in said(to))


def table_of(states: CaseStates, rows: int = 10) -> list[list[str]]:
    to = Console(file=io.StringIO(), width=120, color_system=None)
    to.print(states.table(rows, 120))
    return [line.split() for line in said(to).splitlines()]


def test_the_table_of_cases_says_which_jobs_are_done_which_one_runs_and_which_wait():
    jobs = [
        make_job(kind=kind, case_id=case, replicate=number)
        for case in ("first", "second")
        for kind, number in (("predict", 0), ("time", 0), ("time", 1))
    ]
    states = CaseStates(jobs)
    assert table_of(states) == [["case", "predict", "time"], ["first", "·", "0/2"], ["second", "·", "0/2"]]
    states.started(jobs[0])
    assert table_of(states)[1] == ["first", "now", "0/2"]
    states.ended(jobs[0], outcome())
    states.started(jobs[1])
    assert table_of(states)[1] == ["first", "ok", "0/2", "now"]
    states.ended(jobs[1], outcome())
    states.started(jobs[3])
    states.ended(jobs[3], outcome(status=Status.CRASHED, reason="boom"))
    assert table_of(states)[1:] == [["first", "ok", "1/2"], ["second", "crashed", "0/2"]]


def test_of_many_cases_the_table_shows_those_around_the_one_that_runs():
    jobs = [make_job(case_id=f"case{number:02}") for number in range(50)]
    states = CaseStates(jobs)
    states.started(jobs[30])
    lines = table_of(states, rows=5)
    assert [line[0] for line in lines[1:]] == ["case28", "case29", "case30", "case31", "case32"]
    assert lines[0][:3] == ["case", "(45", "more)"]
