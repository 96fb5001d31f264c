"""Estimates how long the jobs of a run will take: what they took before, else what their budgets and rules come to.

An expectation is a sum of honest guesses. What nothing is known of, as of a training whose budget is in steps, is
counted as unknown and said, not made up.
"""

from __future__ import annotations

import statistics
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.records import Job, Outcome
from bench.records.store.runs import read_job, runs

START_S = 5.0
"""Seconds of a worker's imports and of building its model, roughly; more for large weights."""

MOST_RUNS = 20
"""This many of the newest runs are read."""
MOST_JOBS = 2000
"""This many of their jobs are read."""


@dataclass(frozen=True)
class Expected:
    """Hold how many jobs there are, and the seconds of those of which something is known.

    That is from the past where the same, or one like it, was done before.
    """

    seconds: float
    from_past: int
    unknown: int
    jobs: int

    def __str__(self) -> str:
        """Return one line: the time, and what it rests on."""
        if not self.jobs:
            return "nothing is left to do"
        least = "at least " if self.unknown else "about "
        known = (
            f"{self.from_past} of {self.jobs} jobs by how long they took before, the others by their budgets and rules"
        )
        said = f"expected to take {least}{duration(self.seconds)} ({known}"
        return said + (f"; {self.unknown} of unknown length are not counted)" if self.unknown else ")")


class Expectation:
    """Seconds of each job that is left to do, and of all of them together; learns as they end.

    Nothing goes through all jobs when one of them ends: sums are kept of what is alike.
    """

    def __init__(self, jobs: Iterable[Job], results: Path, at_once: Callable[[Job], int] = lambda _: 1) -> None:
        """Look at the runs that are there; `at_once` says how many jobs of a kind are done at the same time."""
        self._at_once = at_once
        self._left = {job.key: job for job in jobs}
        self._past: dict[str, float] = {}
        self._alike: dict[tuple[str, ...], _Alike] = {}
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._by_rule: dict[str, tuple[float, float]] = {}
        alike = {key: _like(job) for key, job in self._left.items()}
        past: dict[str, list[float]] = {}
        for job, took in _past_jobs(results, {like[0] for like in alike.values()}):
            past.setdefault(job.key, []).append(took)
            self._alike.setdefault(_like(job), _Alike()).learn(took)
        self._past = {key: statistics.median(took) for key, took in past.items() if key in self._left}
        for key, job in self._left.items():
            self._count(job, alike[key], 1)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Return what is left to do."""
        return tuple(self._left.values())

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Learn from a job that has ended, also how far from the rules this machine is, which may be busy or slow."""
        like = _like(job)
        if self._left.pop(job.key, None) is not None:
            self._count(job, like, -1)
        if outcome.status.value != "ok":
            return
        rule = by_rule_s(job)
        if rule is not None:
            took, expected = self._by_rule.get(job.kind, (0.0, 0.0))
            self._by_rule[job.kind] = took + outcome.wall_s, expected + rule
        alike, sums = self._alike.setdefault(like, _Alike()), self._sums_of(job)
        sums.take(alike, rule, -alike.left)
        alike.learn(outcome.wall_s)
        sums.take(alike, rule, alike.left)

    def left(self) -> Expected:
        """Return what the jobs that are left are expected to take."""
        seconds = sum(
            (sums.past_s + sums.rule_s * self._slowness(kind)) / max(1, self._at_once(sums.example))
            for (kind, _), sums in self._sums.items()
        )
        every = self._sums.values()
        return Expected(
            seconds=max(0.0, seconds),
            from_past=sum(sums.from_past for sums in every),
            unknown=sum(sums.unknown for sums in every),
            jobs=len(self._left),
        )

    def _slowness(self, kind: str) -> float:
        """Return how much longer than by the rules jobs of this kind, else all, took here; 1 where none has ended."""
        seen = [self._by_rule[kind]] if kind in self._by_rule else [*self._by_rule.values()]
        expected = sum(rule for _, rule in seen)
        return sum(took for took, _ in seen) / expected if expected else 1.0

    def _count(self, job: Job, like: tuple[str, ...], number: int) -> None:
        """Add a job to the sums, or take it out of them."""
        sums = self._sums_of(job)
        if job.key in self._past:
            sums.past_s += number * self._past[job.key]
            sums.from_past += number
            return
        alike = self._alike.setdefault(like, _Alike())
        sums.take(alike, by_rule_s(job), number)
        alike.left += number

    def _sums_of(self, job: Job) -> _Sums:
        return self._sums.setdefault((job.kind, job.target.device), _Sums(job))


class _Alike:
    """Times of jobs that take about as long, in order, and the number of jobs left of which no more is known."""

    def __init__(self) -> None:
        self.left = 0
        self._took: list[float] = []

    def learn(self, took: float) -> None:
        insort(self._took, took)

    @property
    def median(self) -> float | None:
        middle, odd = divmod(len(self._took), 2)
        if not self._took:
            return None
        return self._took[middle] if odd else (self._took[middle - 1] + self._took[middle]) / 2


@dataclass
class _Sums:
    """Sums over the jobs of a kind and a device that are left: seconds by the past and by rules, and their numbers."""

    example: Job
    past_s: float = 0.0
    rule_s: float = 0.0
    from_past: int = 0
    unknown: int = 0

    def take(self, alike: _Alike, rule: float | None, number: int) -> None:
        """Add so many jobs that are alike, or take them out where that is negative."""
        median = alike.median
        if median is not None:
            self.past_s += number * median
            self.from_past += number
        elif rule is not None:
            self.rule_s += number * rule
        else:
            self.unknown += number


def _past_jobs(results: Path, kinds: set[str]) -> Iterator[tuple[Job, float]]:
    """Yield jobs of these kinds that ended well, the newest runs first, and the seconds that they took."""
    looked_at = 0
    for run in reversed(runs(results)[-MOST_RUNS:]):
        for folder in sorted(run.jobs.glob("*")):
            # The kind is part of the folder's name, so that folders of no use are not read.
            if folder.name.partition("-")[0] not in kinds:
                continue
            looked_at += 1
            if looked_at > MOST_JOBS:
                return
            view = read_job(folder)
            if view is not None and view.outcome is not None and view.ok:
                yield view.job, view.outcome.wall_s


def by_rule_s(job: Job) -> float | None:
    """Return the seconds that budget or sampling rule give a job; None where they do not tell.

    A timing takes its least times if the model is fast; slow models take longer, up to the rule's cap.
    """
    if job.kind == "train":
        seconds = job.recipe.budget.seconds if job.recipe is not None else None
        return None if seconds is None else START_S + seconds
    m = job.measurement
    if job.kind == "time" and m is not None:
        warm_up_s = m.warm_up_s(job.target.device)
        return START_S + warm_up_s + m.min_s + m.pipelined_s
    return START_S if job.kind in ("predict", "export") else None


def duration(seconds: float) -> str:
    """Return seconds as a person says them.

    >>> [duration(s) for s in (4, 59.6, 150, 1234, 7260)]
    ['4 s', '1 min', '2.5 min', '21 min', '2.0 h']
    """
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if seconds < 600:
        return f"{seconds / 60:.1f}".removesuffix(".0") + " min"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _like(job: Job) -> tuple[str, ...]:
    """Return jobs that take about as long: of one kind, model, device and rule."""
    data = job.dataset
    rule = job.recipe if job.kind == "train" else job.measurement if job.kind == "time" else None
    return (
        job.kind,
        job.model.name,
        job.target.device,
        str(job.target.threads),
        str(job.target.batch_size),
        f"{data.name} {data.max_images} {sorted(data.options.items())}",
        "" if rule is None else rule.model_dump_json(),
    )
