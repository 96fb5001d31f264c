"""No process outlives its worker, in a session of its own or not, and none that of a bench that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.run.orphans import RESULTS, end_orphans, nobody_left_behind, results_of
from bench.run.process import run_worker
from bench.run.worker.process import LOCK, PARENT, hold, is_gone, process_identity
from tests.bench.run.processes import gone, wait_for

SLEEP = "import time; time.sleep(60)"
START = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True, {env}stdout=-3, stderr=-3).pid, flush=True)"  # fmt: skip  # noqa: E501
"""A program that starts a process in a session of its own, prints its number, and ends."""


@pytest.mark.parametrize("env", ["", "env={}, "])
def test_what_a_worker_starts_in_sessions_of_its_own_ends_with_it(tmp_path, env):
    log = tmp_path / "log"
    child = START.format(sleep=SLEEP, env=env)
    program = f"import subprocess, sys; exec({child!r}); subprocess.run([sys.executable, '-c', {child!r}])"
    run_worker([sys.executable, "-c", program], environment=dict(os.environ), log=log, timeout_s=30, cwd=tmp_path)
    pids = [int(word) for word in log.read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_the_results_of_a_job_are_found_by_its_path_where_jobs_are_a_link(tmp_path):
    elsewhere, run = tmp_path / "large", tmp_path / "results" / "suite" / "run"
    for folder in (elsewhere, run):
        folder.mkdir(parents=True)
    (run / "jobs").symlink_to(elsewhere)
    assert results_of(run / "jobs" / "one") == tmp_path / "results"
    assert results_of(Path("/o/.work")) == Path("/")


def test_children_that_were_there_before_are_left_alone():
    mine = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        with nobody_left_behind():
            pass
        assert mine.poll() is None
    finally:
        mine.kill()
        mine.wait()


def started_by(identity: str, results: Path) -> int:
    """A process that outlives the one which started it, and says that it works for a bench of this identity there."""
    done = subprocess.run(
        [sys.executable, "-c", START.format(sleep=SLEEP, env="")],
        env={**os.environ, PARENT: identity, RESULTS: str(results)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def identity_of_one_that_has_ended() -> str:
    process = subprocess.Popen([sys.executable, "-c", SLEEP])
    identity = process_identity(process.pid)
    process.kill()
    process.wait()
    return identity


def test_what_a_killed_bench_left_behind_is_ended_and_that_of_a_living_one_or_of_other_results_is_not(tmp_path):
    mine, other = tmp_path / "results", tmp_path / "others"
    ended = identity_of_one_that_has_ended()
    left, kept = started_by(ended, mine), started_by(process_identity(os.getpid()), mine)
    foreign = started_by(ended, other)
    try:
        wait_for(lambda: PARENT.encode() in Path(f"/proc/{left}/environ").read_bytes())
        assert end_orphans(mine) == [left]
        assert gone(left)
        assert Path(f"/proc/{kept}").exists()
        assert Path(f"/proc/{foreign}").exists()
        assert end_orphans(other) == [foreign]
    finally:
        os.kill(kept, 9)


def test_process_numbers_of_another_namespace_say_nothing_here():
    identity = identity_of_one_that_has_ended()
    assert is_gone(identity)
    assert not is_gone(identity.partition("@")[0] + "@1")
    assert not is_gone("")
    assert not is_gone("x:1")


def test_a_job_folder_is_held_by_one_worker_at_a_time(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from bench.run.worker.process import hold;"
        "print(hold(Path(sys.argv[1])), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, PARENT: "7:8"},
    )
    assert int(other.stdout.readline()) > 0
    assert (tmp_path / LOCK).read_text() == "7:8\n"
    assert hold(tmp_path) == -1
    other.kill()
    other.wait()
    other.stdout.close()
    held = hold(tmp_path)
    assert held > 0
    os.close(held)
