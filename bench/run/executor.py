"""The contract of an executor: it carries jobs out somewhere, and says how they ended.

`runner.py` decides which jobs are to be done, in which order, and what an end means; where and when they are carried
out is decided behind this contract, by one file per engine in `executors/`: the processes of this machine, a Ray
cluster, a SLURM queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.measure.devices import Machine
from bench.records import Job
from bench.run.process import ProcessEnd

MEASURING = ("time", "profile", "throughput")
"""Kinds of jobs whose numbers are those of the machine: nothing else runs on their device, nor on their node."""


@dataclass(frozen=True)
class Task:
    """A job that is ready to be done.

    Attributes:
        job: The job, but for what is known only where it is done: its cores, its GPUs, its provenance.
        folder: Its folder; absolute, and of the same path on every node.
        python: The interpreter of its adapter.
        timeout_s: Wall-clock limit.
        alone: True if nothing else may run on its node.
    """

    job: Job
    folder: Path
    python: Path
    timeout_s: float
    alone: bool = False


@dataclass(frozen=True)
class Started:
    """A job has begun.

    Attributes:
        task: The job.
        place: Where, in words; empty where there is only one place.
    """

    task: Task
    place: str = ""


@dataclass(frozen=True)
class Notice:
    """Something is to be told that is not a job, as that a worker is not started as it was asked for."""

    line: str


@dataclass(frozen=True)
class Ended:
    """A job has ended, however it did.

    Attributes:
        task: The job.
        end: The way in which its process ended; None where nobody can tell, because its node went away.
        started_at: Time at which it began; UTC, ISO 8601.
        place: Name of the place where it ran; empty where there is only one place.
        lost: Reason why `end` is None; empty where it is not.
        beside: Jobs of this run that were carried out on the same node at the same time.
    """

    task: Task
    end: ProcessEnd | None
    started_at: str
    place: str = ""
    lost: str = ""
    beside: tuple[Job, ...] = ()


Event = Started | Notice | Ended


PythonOf = Callable[[str], Path]
"""Name of an adapter -> interpreter that runs its jobs."""

Helpers = futures.Executor
"""Processes, here or on nodes, that functions with their arguments can be sent to."""


class Executor(Protocol):
    """Carries jobs out.

    Everything is called by one thread, in which nothing wakes up while it waits.
    """

    @property
    def machine(self) -> Machine:
        """Return the machine that measures: the plan's keys are made for it."""
        ...

    @property
    def is_here(self) -> bool:
        """Return whether jobs are carried out on the machine of the command, so that its own work disturbs them."""
        ...

    def helpers(self) -> Helpers | None:
        """Return processes that do work of the command, as scoring, of several cases at once; None where none pay."""
        ...

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Take note of the jobs that are going to be submitted.

        Args:
            jobs: The jobs.
            python_of: Interpreters of their adapters, so that imports can begin before a job; None begins none.

        Raises:
            BenchError: If one of them has no place here.
        """
        ...

    def at_once(self, job: Job) -> int:
        """Return how many jobs of this kind can be done at the same time, at least 1."""
        ...

    def hungry(self) -> bool:
        """Return whether another job would begin soon if it were submitted; always True while nothing is in flight."""
        ...

    def submit(self, task: Task) -> None:
        """Do a job as soon as there is a place for it, and the caller waits; returns at once."""
        ...

    def wait(self) -> Event:
        """Return the next that happens, once it has happened; something must be in flight."""
        ...

    def cancel(self) -> None:
        """End the jobs in flight; what was submitted and has not begun never will."""
        ...

    def close(self) -> None:
        """Give back whatever waits for further jobs; cancels those in flight."""
        ...


def is_relative_to_machine(job: Job) -> bool:
    """Return whether a number of a job depends on how fast its machine is, so that unlike machines would be compared.

    These are all measurements, and trainings for a number of seconds: on a faster machine these learn more.
    """
    trains_by_clock = job.kind == "train" and job.recipe is not None and job.recipe.budget.seconds is not None
    return job.kind in MEASURING or trains_by_clock


def takes_several_gpus(job: Job) -> bool:
    """Return whether a training spreads over more than one GPU."""
    recipe = job.recipe
    return job.kind == "train" and recipe is not None and recipe.devices > 1 and recipe.device != "cpu"
