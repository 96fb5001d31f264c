"""Read a run back: every report, score and comparison is a function of these views.

A view works on a half-finished run: what is missing is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from bench.records import Case, CaseScores, Job, Outcome, Record, Status, TaskKind, TaskSpec
from bench.store.layout import RunFolder


class PlannedCase(Record):
    """A case and the keys of its jobs, in `plan.json`."""

    case: Case
    task: TaskSpec
    train_key: str | None
    predict_key: str
    time_keys: tuple[str, ...]


class Plan(Record):
    """What a run is made of; rewritten when the suite changes, while job folders stay.

    Attributes:
        suite: Name of the suite.
        title: Its heading.
        source: The suite's file as it was given on the command line.
        task: Form of prediction that is scored.
        metrics: Metric names, the first is the headline.
        cases: In the order of the suite.
        planned_at: UTC, ISO 8601.
        seed: Of the suite.
    """

    suite: str
    title: str
    source: str
    task: TaskKind
    metrics: tuple[str, ...]
    cases: tuple[PlannedCase, ...]
    planned_at: str
    seed: int


@dataclass(frozen=True)
class JobView:
    """A job folder: its job and, once it ended, its outcome."""

    folder: Path
    job: Job
    outcome: Outcome | None

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.outcome is not None and self.outcome.status is Status.OK


@dataclass(frozen=True)
class CaseView:
    """All that is known about a case so far."""

    case: Case
    task: TaskSpec
    train: JobView | None
    predict: JobView | None
    times: tuple[JobView, ...]
    scores: CaseScores | None
    statistics: Path | None

    @property
    def failures(self) -> tuple[JobView, ...]:
        """Jobs that ended, but not well."""
        jobs = [j for j in (self.train, self.predict, *self.times) if j is not None]
        return tuple(j for j in jobs if j.outcome is not None and not j.ok)


@dataclass(frozen=True)
class RunView:
    """A run as far as it got."""

    folder: RunFolder
    plan: Plan
    environment: dict[str, JsonValue]
    cases: tuple[CaseView, ...]
