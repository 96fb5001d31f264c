"""Tests how a job is said to have ended, by what its worker left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records import JobFacts, Outcome, Status
from bench.records.store import layout
from bench.run.outcome import settle
from bench.run.process import ProcessEnd
from tests.bench.builders import make_job

STARTED = "2026-01-01T00:00:00Z"


def end(**changes) -> ProcessEnd:
    return ProcessEnd(
        **{"exit_code": 0, "signal": None, "timed_out": False, "wall_s": 2.0, "kernel_oom_kills": 0, **changes}
    )


def settled(folder: Path, how: ProcessEnd) -> Outcome:
    (folder / layout.JOB).write_text(make_job().to_json(), encoding="utf-8")
    return settle(folder, how, started_at=STARTED, timeout_s=30.0)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (end(exit_code=None, signal="SIGTERM", timed_out=True), Status.TIMEOUT),
        (end(exit_code=None, signal="SIGKILL", timed_out=True), Status.TIMEOUT),
        (end(exit_code=None, signal="SIGKILL", kernel_oom_kills=1), Status.OOM_HOST),
        (end(exit_code=None, signal="SIGKILL"), Status.CRASHED),
        (end(exit_code=None, signal="SIGSEGV"), Status.CRASHED),
        (end(exit_code=1), Status.CRASHED),
    ],
)
def test_a_worker_that_left_no_word_is_classified_by_its_end(tmp_path, how, status):
    outcome = settled(tmp_path, how)
    assert (outcome.status, outcome.signal) == (status, how.signal)
    assert outcome.reason


def test_a_crash_without_a_word_quotes_the_end_of_the_log(tmp_path):
    (tmp_path / layout.WORKER_LOG).write_text("a\n" * 100 + "RuntimeError: boom\n", encoding="utf-8")
    assert settled(tmp_path, end(exit_code=1)).reason.endswith("RuntimeError: boom")


def test_the_workers_own_word_stands_and_gets_the_wall_time_of_the_process(tmp_path):
    told = Outcome(
        status=Status.UNSUPPORTED, reason="fp16 needs CUDA", started_at=STARTED, wall_s=0.1, facts=JobFacts(load_s=1.5)
    )
    (tmp_path / layout.OUTCOME).write_text(told.to_json(), encoding="utf-8")
    outcome = settled(tmp_path, end(exit_code=0))
    assert (outcome.status, outcome.reason, outcome.facts.load_s) == (Status.UNSUPPORTED, "fp16 needs CUDA", 1.5)
    assert outcome.wall_s == 2.0


def test_the_outcome_is_on_disk(tmp_path):
    outcome = settled(tmp_path, end(exit_code=1))
    assert Outcome.from_json((tmp_path / layout.OUTCOME).read_text(encoding="utf-8")) == outcome
