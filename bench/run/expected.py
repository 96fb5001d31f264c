"""Estimates how long the jobs of a run will take: what they took before, else what their budgets and rules come to.

An expectation is a sum of honest guesses. What nothing is known of, as of a training whose budget is in steps, is
counted as unknown and said, not made up.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.records import Job, Outcome
from bench.records.store.runs import read_job, runs

START_S = 5.0
"""Seconds of a worker's imports and of building its model, roughly; more for large weights."""

MOST_RUNS = 20
"""This many of the newest runs are read."""


@dataclass(frozen=True)
class Expected:
    """Hold what jobs are expected to take.

    Attributes:
        seconds: Seconds of the jobs of which something is known.
        from_past: Jobs that the same, or one like it, took before.
        unknown: Jobs of which nothing is known.
        jobs: All of them.
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
    """Seconds of each job that is left to do, and of all of them together; learns as they end."""

    def __init__(self, jobs: Iterable[Job], results: Path) -> None:
        """Look at the runs that are there.

        Args:
            jobs: What is left to do.
            results: Folder of all results.
        """
        self._left = {job.key: job for job in jobs}
        self._of_key: dict[str, list[float]] = {}
        self._of_kind: dict[tuple[str, ...], list[float]] = {}
        self._by_rule: dict[str, list[tuple[float, float]]] = {}
        wanted = {_like(job) for job in self._left.values()}
        for run in reversed(runs(results)[-MOST_RUNS:]):
            for folder in sorted(run.jobs.glob("*")):
                # The kind is part of the folder's name, so that folders of no use are not read.
                view = read_job(folder) if any(folder.name.startswith(f"{kind}-") for kind, *_ in wanted) else None
                if view is not None and view.outcome is not None and view.ok:
                    self._learn(view.job, view.outcome)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Return what is left to do."""
        return tuple(self._left.values())

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Learn from a job that has ended, also how far from the rules this machine is, which may be busy or slow."""
        self._left.pop(job.key, None)
        rule = by_rule_s(job)
        if outcome.status.value == "ok" and rule is not None:
            self._by_rule.setdefault(job.kind, []).append((outcome.wall_s, rule))
        self._learn(job, outcome)

    def _learn(self, job: Job, outcome: Outcome) -> None:
        if outcome.status.value == "ok":
            self._of_key.setdefault(job.key, []).append(outcome.wall_s)
            self._of_kind.setdefault(_like(job), []).append(outcome.wall_s)

    def left(self) -> Expected:
        """Return what the jobs that are left are expected to take."""
        found = [(self._past(job), job) for job in self._left.values()]
        seconds = [past if past is not None else self._guess(job) for past, job in found]
        return Expected(
            seconds=sum(s for s in seconds if s is not None),
            from_past=sum(past is not None for past, _ in found),
            unknown=sum(s is None for s in seconds),
            jobs=len(found),
        )

    def _guess(self, job: Job) -> float | None:
        """Return what the rules give, times what the jobs of this kind, else all jobs, that ended here took of
        theirs.
        """
        rule = by_rule_s(job)
        seen = self._by_rule.get(job.kind) or [pair for pairs in self._by_rule.values() for pair in pairs]
        if rule is None or not seen:
            return rule
        return rule * sum(took for took, _ in seen) / sum(expected for _, expected in seen)

    def _past(self, job: Job) -> float | None:
        took = self._of_key.get(job.key) or self._of_kind.get(_like(job))
        return statistics.median(took) if took else None


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
