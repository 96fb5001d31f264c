"""Read a run back: every report, score and comparison is a function of these views.

A view works on a half-finished run: what is missing is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from bench.records import Case, CaseScores, Cost, Job, Outcome, Record, Status, TaskKind, TaskSpec
from bench.records.store.layout import RunFolder


class PlannedCase(Record):
    """A case and the keys of its jobs, in `plan.json`."""

    case: Case
    task: TaskSpec
    train_key: str | None
    export_key: str | None = None
    predict_key: str
    time_keys: tuple[str, ...]
    profile_key: str | None = None
    throughput_key: str | None = None


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
        cost: Of the machine, as the suite says it.
        data_notes: What was inferred or passed over of a data set, by its label.
    """

    suite: str
    title: str
    source: str
    task: TaskKind
    metrics: tuple[str, ...]
    cases: tuple[PlannedCase, ...]
    planned_at: str
    seed: int
    cost: Cost | None = None
    data_notes: dict[str, tuple[str, ...]] = {}


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
    export: JobView | None
    predict: JobView | None
    times: tuple[JobView, ...]
    profile: JobView | None
    throughput: JobView | None
    scores: CaseScores | None
    statistics: Path | None

    @property
    def jobs(self) -> tuple[JobView, ...]:
        """Jobs that there is a folder of."""
        jobs = (self.train, self.export, self.predict, *self.times, self.profile, self.throughput)
        return tuple(job for job in jobs if job is not None)

    @property
    def failures(self) -> tuple[JobView, ...]:
        """Jobs that ended, but not well."""
        return tuple(j for j in self.jobs if j.outcome is not None and not j.ok)


@dataclass(frozen=True)
class RunView:
    """A run as far as it got."""

    folder: RunFolder
    plan: Plan
    environment: dict[str, JsonValue]
    cases: tuple[CaseView, ...]
