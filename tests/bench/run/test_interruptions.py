"""A run that is killed, or interrupted, at any moment: what is lost, and how the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from bench.records import Outcome, Status, read_record
from bench.records.store import layout
from bench.records.store.runs import newest_run, read_run
from bench.run.fork_server import FORKED
from tests.bench.run.processes import HOW, gone, start, wait_for
from tests.bench.suites import SHAPES, perfect, write_suite

MODELS = [
    {"name": "fake/trains", "options": {"behaviour": "trains", "infer_ms": 20.0}},
    {"name": "fake/noisy", "options": {"dataset": SHAPES["options"]}},
]
RECIPE = {"budget": {"steps": 40}, "device": "cpu"}


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def outcomes(results: Path) -> dict[Path, str]:
    """What each job that ended says, by its folder."""
    return {file.parent: file.read_text() for file in results.glob(f"*/*/jobs/*/{layout.OUTCOME}")}


def descendants(bench: subprocess.Popen[str]) -> list[int]:
    """Process ids of the workers of a run, and of the parents that they are forked from."""
    return [process.pid for process in psutil.Process(bench.pid).children(recursive=True)]


def hanging(bench: subprocess.Popen[str], results: Path) -> tuple[int, int]:
    """Once the job of `fake/hangs` is under way: the process ids of its worker and of the worker's parent."""
    wait_for(lambda: any(results.glob("*/*/jobs/predict-fake-hangs*/predictions")))
    processes = psutil.Process(bench.pid).children(recursive=True)
    (worker,) = [process for process in processes if not process.children()]
    return worker.pid, worker.ppid()


def started_as(results: Path) -> set[str]:
    """How the workers of the jobs that ended well were started."""
    notes = [read_record(Outcome, folder / layout.OUTCOME).facts.notes for folder in outcomes(results)]
    return {note for of_job in notes for note in of_job if note.startswith("started: ")}


def scores(results: Path) -> dict[str, dict[str, float | None]]:
    """Case -> metric -> value."""
    cases = read_run(newest_run(results)).cases
    return {case.case.id: {s.metric: s.value for s in case.scores.scores} for case in cases}


@pytest.mark.slow
@HOW
def test_a_run_that_is_killed_again_and_again_loses_the_job_in_flight_only(tmp_path, how):
    flags = ("--kind", "train", "--kind", "predict", *how)
    suite = write_suite(tmp_path, MODELS, recipe=RECIPE)
    assert finished(start(suite, tmp_path / "undisturbed", *flags))[0] == 0
    results, moment = tmp_path / "killed", random.Random(0)
    kept: dict[Path, str] = {}
    for _ in range(3):
        bench = start(suite, results, *flags)
        time.sleep(moment.uniform(0.7, 2.5))
        children = descendants(bench)
        bench.kill()
        finished(bench)
        assert all(gone(pid) for pid in children)
        ended = outcomes(results)
        assert kept.items() <= ended.items(), "a job that had ended was lost or done again"
        kept = ended
        under_way = [folder for folder in results.glob("*/*/jobs/*") if folder not in ended]
        assert len(under_way) <= 1
    code, said = finished(start(suite, results, *flags))
    assert code == 0, said
    assert kept.items() <= outcomes(results).items()
    assert len(outcomes(results)) == 3
    assert scores(results) == scores(tmp_path / "undisturbed")


@HOW
def test_an_interrupt_ends_the_worker_and_the_next_run_goes_on(tmp_path, how):
    results = tmp_path / "results"
    models = [perfect(), "fake/hangs", "fake/slow_5ms"]
    suite = write_suite(tmp_path, models)
    bench = start(suite, results, "--kind", "predict", *how)
    hanging(bench, results)
    processes = descendants(bench)
    bench.send_signal(signal.SIGINT)
    code, said = finished(bench)
    assert code == 130
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert all(gone(pid) for pid in processes)
    before = outcomes(results)
    assert len(before) == 1
    code, said = finished(start(suite, results, "--kind", "predict", "--case", "*slow_5ms*", *how))
    assert code == 0, said
    # How long a job may take is no part of what it is, so this is the same run.
    write_suite(tmp_path, models, timeouts={"predict_s": 2.0})
    code, said = finished(start(suite, results, "--kind", "predict", *how))
    assert code == 1
    assert "1 jobs done, 2 were done already, 1 case failed" in said
    assert before.items() <= outcomes(results).items()
    statuses = [read_record(Outcome, folder / layout.OUTCOME).status for folder in sorted(outcomes(results))]
    assert sorted(statuses) == sorted([Status.TIMEOUT, Status.OK, Status.OK])


@pytest.mark.parametrize(
    ("how", "killed"),
    [
        pytest.param(["--fresh-interpreters"], "worker", id="fresh", marks=pytest.mark.slow),
        pytest.param([], "worker", id="forked", marks=pytest.mark.slow),
        pytest.param([], "parent", id="parent it was forked from"),
    ],
)
def test_a_worker_that_is_killed_costs_its_own_job_alone(tmp_path, how, killed):
    results = tmp_path / "results"
    suite = write_suite(tmp_path, [perfect(), "fake/hangs", "fake/slow_5ms", MODELS[1]])
    bench = start(suite, results, "--one-at-a-time", "--kind", "predict", *how)
    worker, parent = hanging(bench, results)
    os.kill(worker if killed == "worker" else parent, signal.SIGKILL)
    code, said = finished(bench)
    assert code == 1
    assert gone(worker)
    ends = {folder.name: read_record(Outcome, folder / layout.OUTCOME) for folder in outcomes(results)}
    (lost,) = [name for name in ends if "hangs" in name]
    assert (ends[lost].status, ends[lost].signal) == (Status.CRASHED, "SIGKILL")
    assert "was killed by SIGKILL" in said
    assert [end.status for name, end in ends.items() if name != lost] == [Status.OK] * 3
    assert (f"started: {FORKED}" in started_as(results)) == (not how)
    assert ("the parent of workers of fake has ended; its workers are fresh" in said) == (killed == "parent")


@pytest.mark.slow
def test_a_second_bench_leaves_a_run_that_is_being_written_alone(tmp_path):
    results = tmp_path / "results"
    suite = write_suite(tmp_path, ["fake/hangs"])
    first = start(suite, results, "--one-at-a-time", "--kind", "predict")
    try:
        wait_for(lambda: any(results.glob("*/*/jobs/predict-fake-hangs*/predictions")))
        code, said = finished(start(suite, results))
        assert code == 2
        assert "another bench process" in said
        assert first.poll() is None
    finally:
        os.kill(first.pid, signal.SIGKILL)
        finished(first)


@pytest.mark.slow
def test_an_interrupt_at_any_moment_of_the_start_is_one_line(tmp_path):
    suite = write_suite(tmp_path, ["fake/hangs"])
    for delay_s in (0.05, 0.12, 0.25, 0.5, 1.0):
        bench = start(suite, tmp_path / "results", "--one-at-a-time", "--kind", "predict")
        time.sleep(delay_s)
        bench.send_signal(signal.SIGINT)
        code, said = finished(bench)
        # Before the first lines of ours Python itself ends, by the signal; nothing of bench is in its traceback.
        assert "Traceback" not in said or "bench/cli/main.py" not in said
        assert code in (130, 1, -signal.SIGINT)


@pytest.mark.slow
def test_a_run_that_is_stopped_for_a_while_goes_on_as_if_nothing_had_been(tmp_path):
    suite = write_suite(tmp_path, MODELS, recipe=RECIPE)
    flags = ("--kind", "train", "--kind", "predict")
    bench = start(suite, tmp_path / "results", *flags)
    wait_for(lambda: any((tmp_path / "results").glob(f"*/*/jobs/*/{layout.TRAINING_LOG}")))
    for number in (signal.SIGSTOP, signal.SIGCONT):  # as Ctrl-Z and `fg`; the worker is in a session of its own
        bench.send_signal(number)
        time.sleep(0.5)
    code, said = finished(bench)
    assert code == 0, said
    assert finished(start(suite, tmp_path / "undisturbed", *flags))[0] == 0
    assert scores(tmp_path / "results") == scores(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGHUP, 130), (signal.SIGQUIT, -signal.SIGQUIT)])
def test_a_closed_terminal_and_a_quit_end_the_workers_and_the_next_run_goes_on(tmp_path, number, expected):
    suite = write_suite(tmp_path, [perfect(), "fake/hangs"], timeouts={"predict_s": 30.0})
    bench = start(suite, tmp_path / "results", "--one-at-a-time", "--kind", "predict")
    hanging(bench, tmp_path / "results")
    processes = descendants(bench)
    bench.send_signal(number)
    code, said = finished(bench)
    assert code == expected
    assert "Traceback" not in said
    assert all(gone(pid) for pid in processes)
    suite = write_suite(tmp_path, [perfect()])
    assert (
        "1 were done already" in finished(start(suite, tmp_path / "results", "--one-at-a-time", "--kind", "predict"))[1]
    )


@pytest.mark.slow
def test_a_run_whose_messages_nobody_reads_any_more_is_finished(tmp_path):
    suite = write_suite(tmp_path, [perfect()])
    bench = start(suite, tmp_path / "results", "--one-at-a-time", "--kind", "predict")
    assert bench.stderr is not None
    bench.stderr.close()
    assert bench.wait(120) == 0
    assert len(scores(tmp_path / "results")) == 1
