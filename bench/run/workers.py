"""Starts the workers of a run: a fresh interpreter for each job, or parents that have imported already.

Both start a process of its own for each job, with the same variables, session, log, limit and end; predictions in files
are read without one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.measure.devices import kernel_bytes
from bench.records import Job
from bench.records.names import harness_root
from bench.run.orphans import RESULTS, nobody_left_behind, results_of, start_ours
from bench.run.process import (
    PATIENCE_S,
    ProcessEnd,
    WorkerStopper,
    kernel_oom_kills,
    process_end,
    run_worker,
    signal_group,
    time_limit,
)
from bench.run.read_here import read_here
from bench.run.worker.environment import inherited_environment
from bench.run.worker.process import PARENT, process_identity

FORKED_KINDS = ("train", "export", "predict", "time")
"""Jobs of a profile and of load are fresh interpreters: memory is what they measure, and each case has only one."""
MOST_SERVERS = 8
"""Most pre-imported parents that wait at a time; the one that was not used for longest goes first."""
LEAST_FREE_BYTES = 2 * 1024**3
"""Least available memory, in bytes, with which a further parent is started."""

Tell = Callable[[str], None]


class Workers(Protocol):
    """Starts workers."""

    def expect(self, jobs: Iterable[Job]) -> None:
        """Take note of the jobs that are going to be run."""
        ...

    def run(self, job: Job, python: Path, *, folder: Path, log: Path, timeout_s: float, tell: Tell) -> ProcessEnd:
        """Run the worker of a job until it ends or is over its limit.

        Args:
            job: Job as written in its folder.
            python: The interpreter.
            folder: Folder of the job; absolute.
            log: File that gets the worker's standard output and error.
            timeout_s: Wall-clock limit.
            tell: Gets a line where the worker is not started as it was asked for.
        """
        ...

    def stop(self) -> None:
        """End the worker that runs, from another thread; whatever is started after that ends at once."""
        ...

    def close(self) -> None:
        """End whatever waits for further jobs."""
        ...


class FreshInterpreters:
    """Starts an interpreter for each job."""

    def __init__(self, stopper: WorkerStopper | None = None) -> None:
        self._stopper = stopper or WorkerStopper()

    def expect(self, jobs: Iterable[Job]) -> None:
        """Nothing is prepared."""

    def run(self, job: Job, python: Path, *, folder: Path, log: Path, timeout_s: float, tell: Tell) -> ProcessEnd:  # noqa: ARG002 - as in the protocol
        """Run the worker of a job until it ends or is over its limit."""
        if job.model.adapter == FROM_FILES:
            return read_here(folder, self._stopper)
        return run_worker(
            [str(python), "-m", "bench.run.worker.process", str(folder)],
            environment=_environment(job, folder),
            log=log,
            timeout_s=timeout_s,
            cwd=harness_root(),
            stopper=self._stopper,
        )

    def stop(self) -> None:
        """End the worker that runs."""
        self._stopper.pull()

    def close(self) -> None:
        """Nothing waits."""


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


class ForkServers:
    """Forks the workers of jobs that share their imports from a parent that has imported.

    A job is a fresh interpreter instead where it is the only one of its kind, where a device would be opened or
    memory is measured, and where a fork is not possible; the last is said, once for each reason.
    """

    def __init__(self, most: int = MOST_SERVERS) -> None:
        """Start nothing yet; at most `most` parents will wait at a time."""
        self._most = most
        self._stopper = WorkerStopper()
        self._fresh = FreshInterpreters(self._stopper)
        self._servers: dict[Key, _Server] = {}
        self._expected: Counter[tuple[str, bool]] = Counter()
        self._examples: dict[tuple[str, bool], Job] = {}
        self._refused: set[Key] = set()
        self._said: set[str] = set()

    def expect(self, jobs: Iterable[Job]) -> None:
        """Take note of the jobs that are going to be run: a parent for one job alone would gain nothing."""
        forked = [job for job in jobs if why_fresh(job) is None]
        self._expected.update(map(_kind, forked))
        self._examples |= {_kind(job): job for job in forked}

    def run(self, job: Job, python: Path, *, folder: Path, log: Path, timeout_s: float, tell: Tell) -> ProcessEnd:
        """Run the worker of a job until it ends or is over its limit."""
        if why_fresh(job) is None and not self._stopper.pulled:
            server = self._server(job, python, folder, tell)
            self._expected[_kind(job)] -= 1
            try:
                if server is not None:
                    end = server.run(folder, log, timeout_s, self._stopper)
                    if end is not None:
                        return end
                    self._say(f"the parent of workers of {job.model.adapter} has ended", tell)
                    self._drop(server)
            finally:
                self._drop_what_is_done_with()
        return self._fresh.run(job, python, folder=folder, log=log, timeout_s=timeout_s, tell=tell)

    def stop(self) -> None:
        """End the worker that runs; parents end when they are closed, or were about to start."""
        self._stopper.pull()

    def close(self) -> None:
        """End all parents."""
        for server in tuple(self._servers.values()):
            self._drop(server)

    def _server(self, job: Job, python: Path, folder: Path, tell: Tell) -> _Server | None:
        """Return the parent for a job, started if it pays; None where the job is to be a fresh interpreter."""
        key, environment = _key(job, python, folder)
        if key not in self._servers and key not in self._refused and self._expected[_kind(job)] > 1:
            started = [self._started(key, environment, tell)]
            predicts = self._examples.get((job.model.adapter, False))
            if job.kind == "train" and predicts is not None and self._most > 1:
                # The parent of what comes next imports beside this one, before either has a job.
                here = {"cpu_affinity": job.cpu_affinity, "gpus": job.gpus}
                started.append(self._started(*_key(predicts.model_copy(update=here), python, folder), tell))
            for server in started[::-1]:
                if server is not None:
                    refusal = server.refusal(self._stopper)
                    if refusal is not None:
                        self._drop(server)
                        self._refuse(server.key, refusal, tell)
        server = self._servers.pop(key, None)
        if server is not None:
            self._servers[key] = server  # the last one is the one used last
        while len(self._servers) > self._most:
            self._drop(next(iter(self._servers.values())))
        return server

    def _started(self, key: Key, environment: Mapping[str, str], tell: Tell) -> _Server | None:
        """Return a parent that has begun to import; None where there is one, it would not pay, or it cannot be."""
        if key in self._servers or key in self._refused or self._expected[key.adapter, key.training] < 2:
            return None
        refusal = _why_not_now()
        if refusal is None:
            self._servers[key] = _Server(key, environment)
            return self._servers[key]
        self._refuse(key, refusal, tell)
        return None

    def _refuse(self, key: Key, refusal: str, tell: Tell) -> None:
        self._refused.add(key)
        self._say(refusal, tell)

    def _drop(self, server: _Server) -> None:
        self._servers.pop(server.key, None)
        server.close()

    def _drop_what_is_done_with(self) -> None:
        for key, server in tuple(self._servers.items()):
            if self._expected[key.adapter, key.training] <= 0:
                self._drop(server)

    def _say(self, reason: str, tell: Tell) -> None:
        if reason not in self._said:
            self._said.add(reason)
            tell(f"{reason}; its workers are fresh interpreters, which takes some seconds longer for each job")


def workers_of(*, fresh: bool, at_once: int = 1) -> Workers:
    """Return who starts the workers of a run: an interpreter for each, or parents that have imported.

    Args:
        fresh: True if each job gets an interpreter.
        at_once: Number of such starters that share this machine.
    """
    return FreshInterpreters() if fresh else ForkServers(max(1, MOST_SERVERS // at_once))


def why_fresh(job: Job) -> str | None:
    """Return why a job is never forked; None for one that may be."""
    if job.model.adapter == FROM_FILES:
        return "predictions in files are read without a worker"
    if sys.platform != "linux":
        return "only on Linux a fork of a process that has loaded frameworks is safe"
    if job.kind not in FORKED_KINDS:
        return f"a {job.kind} job measures memory, some of which a forked process shares with its parent"
    devices = [job.target.device, *([job.recipe.device] if job.kind == "train" and job.recipe is not None else [])]
    if any(device != "cpu" for device in devices):
        return "a device cannot be opened in a forked process without doubt"
    if job.recipe is not None and job.recipe.devices > 1:
        return "a training in several processes starts these itself"
    if Path(job.adapters_root) != harness_root() / "adapters":
        return "what an adapter from outside this tree does when it is imported is not known"
    return None


def _environment(job: Job, folder: Path) -> dict[str, str]:
    """Variables of the worker of a job: with the results folder, by which its orphans are known."""
    return {**inherited_environment(job), RESULTS: str(results_of(folder))}


def _key(job: Job, python: Path, folder: Path) -> tuple[Key, dict[str, str]]:
    """Return the parent that a job needs, and its variables."""
    environment = _environment(job, folder)
    return Key(python, *_kind(job), job.cpu_affinity, tuple(sorted(environment.items()))), environment


def _kind(job: Job) -> tuple[str, bool]:
    """Return jobs that import the same."""
    return job.model.adapter, job.kind == "train"


def _why_not_now() -> str | None:
    """Return why no further parent is started now, or None."""
    free = kernel_bytes("MemAvailable", Path("/proc/meminfo"))
    if free is not None and free < LEAST_FREE_BYTES:
        return f"only {free / 1024**3:.1f} GiB of memory are available, too few for a pre-imported parent of workers"
    return None


class _Server:
    """A process that has imported, and waits for jobs to fork."""

    def __init__(self, key: Key, environment: Mapping[str, str]) -> None:
        """Start it; it imports from now on."""
        self.key = key
        self._needed: set[str] = set()
        ours, theirs = socket.socketpair()
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
        self._answers = ours.makefile("r", encoding="utf-8")

    def refusal(self, stopper: WorkerStopper) -> str | None:
        """Wait until it has imported; return why it cannot fork, or None."""
        with stopper.holds(self._process.pid):
            answer = self._answer()
        died = f"a parent for workers of {self.key.adapter} could not be started: {self._last_line()}"
        told: str | None = died if answer is None else answer.get("refused")
        return told

    def run(self, folder: Path, log: Path, timeout_s: float, stopper: WorkerStopper) -> ProcessEnd | None:
        """Fork a worker and wait for its end; None if there was no fork.

        As for a fresh interpreter, the calling thread blocks until the end, and on any exception the worker's
        whole process group is ended before the exception goes on.
        """
        oom_before, started = kernel_oom_kills(), time.monotonic()
        request = {"folder": str(folder), "log": str(log.absolute()), "preload": sorted(self._needed)}
        pid: int | None = None
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            pid = (self._answer() or {}).get("pid")
            if pid is None:
                return None
            with nobody_left_behind() as left, stopper.holds(pid), time_limit(pid, timeout_s) as over:
                left.session = pid
                status = self._status()
        except BrokenPipeError:
            return None
        except BaseException:
            if pid is not None:
                self._end(pid)
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

    def _status(self) -> int:
        """Wait until the worker has ended. If its parent was ended, the kernel has killed the worker, too."""
        while (answer := self._answer()) is not None:
            self._needed.update(answer.get("imported", ()))
            if "status" in answer:
                return int(answer["status"])
        return int(signal.SIGKILL)

    def _end(self, pid: int) -> None:
        signal_group(pid, signal.SIGTERM)
        self._connection.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            self._status()
        self.close()
        signal_group(pid, signal.SIGKILL)

    def _answer(self) -> dict[str, Any] | None:
        """Return the next line; None once the process has ended."""
        try:
            line = self._answers.readline()
        except ConnectionResetError:
            return None
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer

    def _last_line(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
