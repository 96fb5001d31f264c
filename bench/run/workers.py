"""Starts the workers of a run: a fresh interpreter for each job, or parents that have imported already.

Both start a process of its own for each job, with the same variables, session, log, limit and end; predictions in files
are read without one.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.errors import BenchError
from bench.measure.out_of_memory import free_host_bytes
from bench.records import Job
from bench.records.names import harness_root
from bench.run.executor import PythonOf
from bench.run.orphans import RESULTS, results_of
from bench.run.planning.prepare import pinned_cores
from bench.run.process import ProcessEnd, WorkerStopper, read_here, run_worker
from bench.run.worker.environment import inherited_environment
from bench.run.worker_parent import Key, WorkerParent

FORKED_KINDS = ("train", "export", "predict", "time")
"""Jobs of a profile and of load are fresh interpreters: memory is what they measure, and each case has only one."""
MOST_SERVERS = 8
"""Most pre-imported parents that wait at a time; the one that was not used for longest goes first."""
LEAST_FREE_BYTES = 2 * 1024**3
"""Least available memory, in bytes, with which a further parent is started."""

Tell = Callable[[str], None]


class Workers(Protocol):
    """Starts workers."""

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Take note of the jobs that are going to be run.

        Args:
            jobs: The jobs.
            python_of: Interpreters of their adapters, so that the imports of the next framework can begin beside a
                prediction; None begins none.
        """
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

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
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


class ForkServers:
    """Forks the workers of jobs that share their imports from a parent that has imported.

    A job is a fresh interpreter instead where it is the only one of its kind, where a device would be opened or
    memory is measured, and where a fork is not possible; the last is said, once for each reason. Several threads may
    run jobs at the same time.
    """

    def __init__(self, most: int = MOST_SERVERS) -> None:
        """Start nothing yet; at most `most` parents will wait at a time."""
        self._most = most
        self._lock = threading.RLock()
        self._python_of: PythonOf | None = None
        self._stopper = WorkerStopper()
        self._fresh = FreshInterpreters(self._stopper)
        self._servers: dict[Key, WorkerParent] = {}
        self._expected: Counter[tuple[str, bool]] = Counter()
        self._examples: dict[tuple[str, bool], Job] = {}
        self._refused: set[Key] = set()
        self._begun: set[tuple[str, bool]] = set()
        self._said: set[str] = set()

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Take note of the jobs that are going to be run: a parent for one job alone would gain nothing."""
        self._python_of = python_of
        forked = [job for job in jobs if why_fresh(job) is None]
        self._expected.update(map(_kind, forked))
        self._examples |= {_kind(job): job for job in forked}

    def run(self, job: Job, python: Path, *, folder: Path, log: Path, timeout_s: float, tell: Tell) -> ProcessEnd:
        """Run the worker of a job until it ends or is over its limit."""
        if why_fresh(job) is None and not self._stopper.pulled:
            with self._taken(job, python, folder, tell) as server:
                end = None if server is None else server.run(folder, log, timeout_s, self._stopper)
            if end is not None:
                return end
        if job.kind != "predict":
            with self._lock:
                self._await([*self._servers], tell)  # nothing imports beside what may measure
        return self._fresh.run(job, python, folder=folder, log=log, timeout_s=timeout_s, tell=tell)

    def stop(self) -> None:
        """End the worker that runs; parents end when they are closed, or were about to start."""
        self._stopper.pull()

    def close(self) -> None:
        """End all parents."""
        for server in tuple(self._servers.values()):
            self._drop(server)

    @contextlib.contextmanager
    def _taken(self, job: Job, python: Path, folder: Path, tell: Tell) -> Iterator[WorkerParent | None]:
        """Give the parent for a job, which is not ended meanwhile; None where it is to be a fresh interpreter."""
        with self._lock:
            server = self._server(job, python, folder, tell)
            self._expected[_kind(job)] -= 1
            if server is not None:
                server.at_work += 1
            if job.kind == "predict":
                self._begin_next(job, folder, tell)
        try:
            yield server
        finally:
            with self._lock:
                if server is not None:
                    server.at_work -= 1
                    if server.has_ended:
                        self._say(f"the parent of workers of {job.model.adapter} has ended", tell)
                        self._drop(server)
                self._drop_what_is_done_with()

    def _begin_next(self, job: Job, folder: Path, tell: Tell) -> None:
        """Begin the imports of the first framework of which no parent was started yet, beside a prediction."""
        coming = [kind for kind in self._examples if kind not in self._begun and self._expected[kind] > 1]
        if self._python_of is None or not coming or _why_not_now() is not None:
            return
        for example in (self._examples[kind] for kind in coming if kind[0] == coming[0][0]):
            self._begun.add(_kind(example))
            here = {"cpu_affinity": pinned_cores(example.target.threads), "gpus": job.gpus}
            with contextlib.suppress(BenchError):  # no interpreter: its own jobs say so
                python = self._python_of(example.model.adapter)
                self._started(*_key(example.model_copy(update=here), python, folder), tell)

    def _server(self, job: Job, python: Path, folder: Path, tell: Tell) -> WorkerParent | None:
        """Return the parent for a job, started if it pays; None where the job is to be a fresh interpreter.

        Where the job is no prediction, no parent imports any more when it begins.
        """
        key, environment = _key(job, python, folder)
        if key not in self._servers and key not in self._refused and self._expected[_kind(job)] > 1:
            self._started(key, environment, tell)
            predicts = self._examples.get((job.model.adapter, False))
            if job.kind == "train" and predicts is not None and self._most > 1:
                # The parent of what comes next imports beside this one, before either has a job.
                here = {"cpu_affinity": job.cpu_affinity, "gpus": job.gpus}
                self._started(*_key(predicts.model_copy(update=here), python, folder), tell)
        self._await([key] if job.kind == "predict" else [*self._servers], tell)
        server = self._servers.pop(key, None)
        if server is not None:
            self._servers[key] = server  # the last one is the one used last
        idle = [one for one in self._servers.values() if not one.at_work and one is not server]
        for one in idle[: max(0, len(self._servers) - self._most)]:
            self._drop(one)
        return server

    def _started(self, key: Key, environment: Mapping[str, str], tell: Tell) -> None:
        """Start a parent, which begins to import, unless there is one, it would not pay, or it cannot be."""
        if key in self._servers or key in self._refused or self._expected[key.adapter, key.training] < 2:
            return
        self._begun.add((key.adapter, key.training))
        refusal = _why_not_now()
        if refusal is None:
            self._servers[key] = WorkerParent(key, environment)
        else:
            self._refuse(key, refusal, tell)

    def _await(self, keys: Iterable[Key], tell: Tell) -> None:
        """Wait until some parents have imported; one that cannot fork is not used."""
        for one in [self._servers[key] for key in keys if key in self._servers and self._servers[key].imports]:
            if (refusal := one.refusal(self._stopper)) is not None:
                self._drop(one)
                self._refuse(one.key, refusal, tell)

    def _refuse(self, key: Key, refusal: str, tell: Tell) -> None:
        self._refused.add(key)
        self._say(refusal, tell)

    def _drop(self, server: WorkerParent) -> None:
        if self._servers.get(server.key) is server:
            del self._servers[server.key]
        server.close()

    def _drop_what_is_done_with(self) -> None:
        for key, server in tuple(self._servers.items()):
            if self._expected[key.adapter, key.training] <= 0 and not server.at_work:
                self._drop(server)

    def _say(self, reason: str, tell: Tell) -> None:
        if reason not in self._said:
            self._said.add(reason)
            tell(f"{reason}; its workers are fresh interpreters, which takes some seconds longer for each job")


def workers_of(at_once: int = 1, *, fresh: bool) -> Workers:
    """Return who starts the workers of a run: an interpreter for each, or parents that have imported.

    Args:
        at_once: Number of such starters that share this machine.
        fresh: True if each job gets an interpreter.
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
    free = free_host_bytes()
    if free is not None and free < LEAST_FREE_BYTES:
        return f"only {free / 1024**3:.1f} GiB of memory are available, too few for a pre-imported parent of workers"
    return None
