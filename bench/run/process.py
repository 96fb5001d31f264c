"""Run a worker on this machine and wait for it without stealing its time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure.devices import number_in
from bench.records.compiled import give_back_freed_memory
from bench.records.store.files import opened_to_append
from bench.run.orphans import nobody_left_behind, start_ours
from bench.run.worker.process import PARENT, do_here, process_identity
from bench.run.worker.progress import STOPPED

TERM_GRACE_S = 10.0
"""Seconds between TERM and KILL for a worker that is over its limit."""
PATIENCE_S = 2.0
"""Seconds that an interrupted worker gets to end after TERM."""


@dataclass(frozen=True)
class ProcessEnd:
    """State how a worker process ended.

    Attributes:
        exit_code: None when a signal ended it.
        signal: Name of that signal, for example `SIGKILL`.
        timed_out: True if it was over its wall-clock limit.
        wall_s: Seconds from start to end.
        kernel_oom_kills: Processes the kernel killed for memory meanwhile; None = unknown.
    """

    exit_code: int | None
    signal: str | None
    timed_out: bool
    wall_s: float
    kernel_oom_kills: int | None


def run_worker(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    timeout_s: float,
    cwd: Path,
    stopper: WorkerStopper | None = None,
) -> ProcessEnd:
    """Run a command in a session of its own until it ends or is over its limit.

    The calling thread blocks in `waitpid` and the limit is one sleeping timer, so nothing polls
    beside a measurement. On any exception, Ctrl-C included, the whole process group is ended
    before the exception goes on.

    Args:
        command: Program and arguments.
        environment: Complete environment of the process.
        log: File that gets its standard output and error.
        timeout_s: Wall-clock limit; then TERM, and KILL after `TERM_GRACE_S`.
        cwd: Its working folder.
        stopper: Handle by which another thread can end it.
    """
    stopper = stopper or WorkerStopper()
    oom_before = kernel_oom_kills()
    started = time.monotonic()
    with os.fdopen(opened_to_append(log), "ab") as output, nobody_left_behind() as left:
        process = start_ours(
            command,
            env={**environment, PARENT: process_identity(os.getpid())},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        left.session = process.pid
        try:
            with stopper.holds(process.pid), time_limit(process.pid, timeout_s) as over:
                return_code = process.wait()
        except BaseException:
            signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=PATIENCE_S)
            signal_group(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            # Children the worker left behind must not outlive its job.
            signal_group(process.pid, signal.SIGKILL)
    return process_end(return_code, timed_out=over.is_set(), started=started, oom_before=oom_before)


def process_end(return_code: int, *, timed_out: bool, started: float, oom_before: int | None) -> ProcessEnd:
    """Describe the end of a process from its return code, which is minus the signal where one ended it.

    `started` is the monotonic clock at its start, seconds, `oom_before` what `kernel_oom_kills` said then.
    """
    oom_after = kernel_oom_kills()
    return ProcessEnd(
        exit_code=return_code if return_code >= 0 else None,
        signal=signal.Signals(-return_code).name if return_code < 0 else None,
        timed_out=timed_out,
        wall_s=time.monotonic() - started,
        kernel_oom_kills=None if oom_before is None or oom_after is None else oom_after - oom_before,
    )


class WorkerStopper:
    """Ends the workers of one thread from another one; what is started after that is ended at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[int] = set()
        self._nobody = threading.Event()
        self._nobody.set()
        self.pulled = False

    @contextlib.contextmanager
    def holds(self, group: int) -> Iterator[None]:
        """Hold a process group until its first process has ended."""
        with self._lock:
            self._held.add(group)
            self._nobody.clear()
            if self.pulled:
                signal_group(group, signal.SIGTERM)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(group)
                if not self._held:
                    self._nobody.set()

    def pull(self) -> None:
        """Send TERM to what is held, and KILL to what is still there `PATIENCE_S` later."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self._lock:
                self.pulled = True
                for group in self._held:
                    signal_group(group, number)
            if self._nobody.wait(PATIENCE_S):
                return


@contextlib.contextmanager
def time_limit(group: int, timeout_s: float) -> Iterator[threading.Event]:
    """End a process group that is over its limit: TERM, and KILL after `TERM_GRACE_S`; tells whether it was."""
    over = threading.Event()

    def terminate() -> None:
        over.set()
        signal_group(group, signal.SIGTERM)

    timers = (
        threading.Timer(timeout_s, terminate),
        threading.Timer(timeout_s + TERM_GRACE_S, signal_group, (group, signal.SIGKILL)),
    )
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield over
    finally:
        for timer in timers:
            timer.cancel()


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a group; nothing happens if there are none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kernel_oom_kills() -> int | None:
    """Return processes the kernel has killed for memory since boot (`oom_kill` of /proc/vmstat)."""
    return number_in(Path("/proc/vmstat"), "oom_kill")


def read_here(folder: Path, stopper: WorkerStopper) -> ProcessEnd:
    """Do the job of predictions in files in this process, which has read them before, to check the suite.

    It runs no model and imports no framework, so that there is nothing to keep apart.
    """
    oom_before, started = kernel_oom_kills(), time.monotonic()
    token = STOPPED.set(lambda: stopper.pulled)
    try:
        do_here(folder)
    finally:
        STOPPED.reset(token)
    give_back_freed_memory()
    return process_end(0, timed_out=False, started=started, oom_before=oom_before)
