"""Starting a worker, waiting for it, and ending it."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.run import process as local
from bench.run.process import ProcessEnd, run_worker
from tests.bench.run.processes import interrupt_until


def run(tmp_path: Path, program: str, timeout_s: float = 20.0) -> ProcessEnd:
    return run_worker(
        [sys.executable, "-c", program],
        environment=dict(os.environ),
        log=tmp_path / "worker.log",
        timeout_s=timeout_s,
        cwd=tmp_path,
    )


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


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
    end = run(tmp_path, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", 1.0)
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
        while not (log.is_file() and log.read_text().strip()):
            time.sleep(0.02)
        interrupt_until(ended)

    ended = threading.Event()
    threading.Thread(target=interrupt_when_started, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, program)
    ended.set()
    assert gone(int(log.read_text()))


@pytest.mark.slow
def test_waiting_for_a_worker_costs_the_parent_next_to_nothing(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF)
    end = run(tmp_path, "import time; time.sleep(2)")
    after = resource.getrusage(resource.RUSAGE_SELF)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The goal is 0.5 % of a core; starting the process is in this figure too, hence the wider bound.
    assert used_s / end.wall_s < 0.02
