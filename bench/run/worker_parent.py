"""A process that has imported what workers of one adapter import, seen from the process that asks it for workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.records.names import harness_root
from bench.run.fork_server import MOST_BYTES
from bench.run.orphans import nobody_left_behind, start_ours
from bench.run.process import (
    PATIENCE_S,
    ProcessEnd,
    WorkerStopper,
    kernel_oom_kills,
    process_end,
    signal_group,
    time_limit,
)
from bench.run.worker.process import PARENT, process_identity


class Key(NamedTuple):
    """Hold what workers of one parent have in common; libraries read all of it when they are imported.

    Attributes:
        python: The interpreter.
        adapter: Its framework is the only one that is imported.
        training: True if what trains is imported, too.
        cores: Cores it is pinned to.
        environment: Its environment variables.
    """

    python: Path
    adapter: str
    training: bool
    cores: tuple[int, ...] | None
    environment: tuple[tuple[str, str], ...]


class WorkerParent:
    """A process that has imported, and waits for jobs to fork.

    Attributes:
        key: What its workers have in common.
        imports: True until somebody has waited for the end of its imports.
        at_work: Number of jobs that it runs.
        has_ended: True if a job found that it has ended.
    """

    def __init__(self, key: Key, environment: Mapping[str, str]) -> None:
        """Start it; it imports from now on."""
        self.key = key
        self.imports, self.at_work, self.has_ended = True, 0, False
        self._needed: set[str] = set()
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._connection = ours
        # What importing prints goes nowhere in particular; whatever a job prints goes to its own log.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        with theirs:
            said = [json.dumps(argument) for argument in (key.training, theirs.fileno(), key.cores)]
            self._process = start_ours(
                [str(key.python), "-m", "bench.run.fork_server", key.adapter, *said],
                env={**environment, PARENT: process_identity(os.getpid())},
                cwd=harness_root(),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
            )

    def refusal(self, stopper: WorkerStopper) -> str | None:
        """Wait until it has imported; return why it cannot fork, or None."""
        self.imports = False
        answer: dict[str, Any] | None = None
        with stopper.holds(self._process.pid), contextlib.suppress(ConnectionError):
            answer = json.loads(self._connection.recv(MOST_BYTES) or b"null")
        died = f"a parent for workers of {self.key.adapter} could not be started: {self._last_line()}"
        told: str | None = died if answer is None else answer.get("refused")
        return told

    def run(self, folder: Path, log: Path, timeout_s: float, stopper: WorkerStopper) -> ProcessEnd | None:
        """Fork a worker and wait for its end; None if there was no fork.

        As for a fresh interpreter, the calling thread blocks until the end, and on any exception the worker's
        whole process group is ended before the exception goes on.
        """
        oom_before, started = kernel_oom_kills(), time.monotonic()
        pid: int | None = None
        with contextlib.closing(_Answers()) as answers:
            try:
                pid = self._forked(folder, log, answers)
                if pid is None:
                    self.has_ended = True
                    return None
                with nobody_left_behind() as left, stopper.holds(pid), time_limit(pid, timeout_s) as over:
                    left.session = pid
                    status = self._status(answers)
            except BaseException:
                if pid is not None:
                    self._end(pid, answers)
                raise
            finally:
                if pid is not None:
                    # Children the worker left behind must not outlive its job.
                    signal_group(pid, signal.SIGKILL)
        return process_end(
            os.waitstatus_to_exitcode(status), timed_out=over.is_set(), started=started, oom_before=oom_before
        )

    def close(self) -> None:
        """End it, unless it has ended."""
        self._connection.close()
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _forked(self, folder: Path, log: Path, answers: _Answers) -> int | None:
        """Ask for a worker, and return its process; None where nobody answers any more."""
        request = {"folder": str(folder), "log": str(log.absolute()), "preload": sorted(self._needed)}
        with answers.theirs:
            try:
                socket.send_fds(self._connection, [json.dumps(request).encode()], [answers.theirs.fileno()])
            except ConnectionError:
                return None
        return (answers.next() or {}).get("pid")

    def _status(self, answers: _Answers) -> int:
        """Wait until the worker has ended. If its parent was ended, the kernel has killed the worker, too."""
        while (answer := answers.next()) is not None:
            self._needed.update(answer.get("imported", ()))
            if "status" in answer:
                return int(answer["status"])
        self.has_ended = True
        return int(signal.SIGKILL)

    def _end(self, pid: int, answers: _Answers) -> None:
        signal_group(pid, signal.SIGTERM)
        answers.ours.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            self._status(answers)
        self.close()
        signal_group(pid, signal.SIGKILL)

    def _last_line(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class _Answers:
    """What is said of one worker, in lines of JSON over a socket of its own.

    Attributes:
        ours: End that is read.
        theirs: End that the parent of workers gets.
    """

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self._lines = self.ours.makefile("r", encoding="utf-8")

    def next(self) -> dict[str, Any] | None:
        """Return the next line; None once nobody is left who could say one."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            return None
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer

    def close(self) -> None:
        """Listen no longer."""
        for one in (self._lines, self.ours, self.theirs):
            one.close()
