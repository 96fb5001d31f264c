"""A run that is killed, or interrupted, at any moment: what is lost, and how the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.records import Outcome, Status, read_record
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.runs import newest_run, read_run
from tests.bench.run.processes import gone, wait_for
from tests.bench.suites import SHAPES, perfect, write_suite

MODELS = [
    {"name": "fake/trains", "options": {"behaviour": "trains", "infer_ms": 20.0}},
    {"name": "fake/noisy", "options": {"dataset": SHAPES["options"]}},
]
RECIPE = {"budget": {"steps": 40}, "device": "cpu"}


def start(suite: Path, results: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench.cli.main",
            "run",
            str(suite),
            "--results",
            str(results),
            "--fresh-interpreters",
            *flags,
        ],
        cwd=harness_root(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A background shell ignores SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def outcomes(results: Path) -> dict[Path, str]:
    """What each job that ended says, by its folder."""
    return {file.parent: file.read_text() for file in results.glob(f"*/*/jobs/*/{layout.OUTCOME}")}


def workers(results: Path) -> list[int]:
    """Process ids of the workers in a results folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if b"bench.run.worker.process" in words and str(results).encode() in words:
            found.append(int(entry.parent.name))
    return found


def scores(results: Path) -> dict[str, dict[str, float | None]]:
    """Case -> metric -> value."""
    cases = read_run(newest_run(results)).cases
    return {case.case.id: {s.metric: s.value for s in case.scores.scores} for case in cases}


def test_a_run_that_is_killed_again_and_again_loses_the_job_in_flight_only(tmp_path):
    flags = ("--kind", "train", "--kind", "predict")
    suite = write_suite(tmp_path, MODELS, recipe=RECIPE)
    assert finished(start(suite, tmp_path / "undisturbed", *flags))[0] == 0
    results, moment = tmp_path / "killed", random.Random(0)
    kept: dict[Path, str] = {}
    for _ in range(3):
        bench = start(suite, results, *flags)
        time.sleep(moment.uniform(0.7, 2.5))
        children = workers(results)
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


def test_an_interrupt_ends_the_worker_and_the_next_run_goes_on(tmp_path):
    results = tmp_path / "results"
    models = [perfect(), "fake/hangs", "fake/slow_5ms"]
    suite = write_suite(tmp_path, models)
    bench = start(suite, results, "--kind", "predict")
    wait_for(lambda: any(results.glob("*/*/jobs/predict-fake-hangs*/predictions")))
    (worker,) = workers(results)
    bench.send_signal(signal.SIGINT)
    code, said = finished(bench)
    assert code == 130
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert gone(worker)
    before = outcomes(results)
    assert len(before) == 1
    # How long a job may take is no part of what it is, so this is the same run.
    write_suite(tmp_path, models, timeouts={"predict_s": 2.0})
    code, said = finished(start(suite, results, "--kind", "predict"))
    assert code == 1
    assert "2 jobs done, 1 were done already, 1 cases failed" in said
    assert before.items() <= outcomes(results).items()
    statuses = [read_record(Outcome, folder / layout.OUTCOME).status for folder in sorted(outcomes(results))]
    assert sorted(statuses) == sorted([Status.TIMEOUT, Status.OK, Status.OK])


def test_a_second_bench_leaves_a_run_that_is_being_written_alone(tmp_path):
    results = tmp_path / "results"
    suite = write_suite(tmp_path, ["fake/hangs"])
    first = start(suite, results, "--kind", "predict")
    try:
        wait_for(lambda: any(results.glob("*/*/jobs/predict-fake-hangs*/predictions")))
        code, said = finished(start(suite, results))
        assert code == 2
        assert "another bench process" in said
        assert first.poll() is None
    finally:
        os.kill(first.pid, signal.SIGKILL)
        finished(first)
