"""Starting a worker, waiting for it, and ending it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from pathlib import Path

import pytest

from bench.run import process as local
from bench.run.process import ProcessEnd, run_worker
from tests.bench.run.processes import gone, interrupt_until, wait_for


def run(tmp_path: Path, program: str, timeout_s: float = 60.0) -> ProcessEnd:
    return run_worker(
        [sys.executable, "-c", program],
        environment=dict(os.environ),
        log=tmp_path / "worker.log",
        timeout_s=timeout_s,
        cwd=tmp_path,
    )


def test_an_exit_code_and_what_was_printed_are_kept(tmp_path):
    end = run(tmp_path, "import sys; print('hello'); print('oh', file=sys.stderr); sys.exit(3)")
    assert (end.exit_code, end.signal, end.timed_out) == (3, None, False)
    assert sorted((tmp_path / "worker.log").read_text().split()) == ["hello", "oh"]


def test_a_worker_ended_by_a_signal_is_told_by_its_name(tmp_path):
    end = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert (end.exit_code, end.signal, end.timed_out) == (None, "SIGSEGV", False)


def test_a_worker_over_its_limit_gets_term(tmp_path):
    end = run(tmp_path, "import time; time.sleep(60)", timeout_s=0.5)
    assert (end.signal, end.timed_out) == ("SIGTERM", True)
    assert end.wall_s < 10


def test_a_worker_that_ignores_term_gets_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "TERM_GRACE_S", 0.5)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a worker that begins like this ignores it from its start
    try:
        end = run(tmp_path, "import time; time.sleep(60)", timeout_s=0.5)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (end.signal, end.timed_out) == ("SIGKILL", True)


def test_children_of_a_worker_do_not_outlive_it(tmp_path):
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)"
    )
    run(tmp_path, program)
    assert gone(int((tmp_path / "worker.log").read_text()))


def test_an_interrupt_ends_the_worker_before_it_goes_on(tmp_path):
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    log = tmp_path / "worker.log"

    def interrupt_when_started() -> None:
        wait_for(lambda: log.is_file() and log.read_text().strip())
        interrupt_until(ended)

    ended = threading.Event()
    threading.Thread(target=interrupt_when_started, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, program)
    ended.set()
    assert gone(int(log.read_text()))


@pytest.mark.slow
def test_waiting_for_a_worker_costs_the_parent_next_to_nothing(tmp_path):
    def spent(seconds: int) -> tuple[int, float]:
        """Times that this process fell asleep, and seconds that it worked."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        run(tmp_path, f"import time; time.sleep({seconds})")
        after = resource.getrusage(resource.RUSAGE_SELF)
        worked_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return after.ru_nvcsw - before.ru_nvcsw, worked_s

    # Starting the worker is in these figures; what two seconds more of waiting add to it is one sleep or two, where
    # looking ten times a second would add twenty, and looking all the time would be work.
    (of_none, _), (of_two, worked_s) = min(spent(0) for _ in range(2)), min(spent(2) for _ in range(2))
    assert of_two - of_none < 10
    assert worked_s < 0.25 * 2
