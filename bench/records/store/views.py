"""Read a run back: every report, score and comparison is a function of these views.

A view works on a half-finished run: what is missing is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError, field_validator

from bench.errors import StoreError
from bench.records import (
    Case,
    CaseScores,
    Cost,
    Job,
    Outcome,
    ProfileResult,
    R,
    Record,
    Score,
    Status,
    TaskKind,
    TaskSpec,
    read_record,
)
from bench.records.base import held_once
from bench.records.store import layout
from bench.records.store.layout import RunFolder
from bench.records.store.samples import Samples
from bench.records.throughput import Loads


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

    _shared = field_validator("task")(held_once)


class AcceptedCode(Record):
    """Code of another revision that stands in the keys of a run in place of the code that ran (`--accept-code`).

    Attributes:
        revision: Revision as it was given.
        commit: Commit that the revision named, hex.
        files: Files whose code differs between that commit and the code that ran.
    """

    revision: str
    commit: str
    files: tuple[str, ...]


class Plan(Record):
    """Hold what a run is made of; rewritten when the suite changes, while job folders stay.

    Attributes:
        suite: Name of the suite.
        title: Its heading.
        source: The suite's file as it was given on the command line.
        task: Form of prediction that is scored.
        metrics: Metric names, the first is the headline.
        cases: Cases in the order of the suite.
        planned_at: Time of the plan; UTC, ISO 8601.
        seed: Seed of the suite.
        cost: Cost of the machine, as the suite states it.
        data_notes: Label of a data set -> sentences on what was inferred or passed over in it.
        accepted_code: Code that was taken to give the same numbers as the present one; None = none was.
        columns: Table of the user's by whose columns images are sliced, by label of the data set.
    """

    suite: str
    title: str
    source: str
    task: TaskKind
    metrics: tuple[str, ...] = Field(min_length=1)
    cases: tuple[PlannedCase, ...] = Field(min_length=1)
    planned_at: str
    seed: int
    cost: Cost | None = None
    data_notes: dict[str, tuple[str, ...]] = {}
    accepted_code: AcceptedCode | None = None
    columns: dict[str, str] = {}

    @cached_property
    def by_id(self) -> dict[str, PlannedCase]:
        """The cases by their ids: a suite of thousands of them is not gone through for each."""
        return {planned.case.id: planned for planned in self.cases}


@dataclass(frozen=True)
class JobView:
    """A job folder: its job and, once it ended, its outcome.

    `damage` says which of its files was changed, cut off or removed after it ended; such a job is never used.
    """

    folder: Path
    job: Job
    outcome: Outcome | None
    damage: str | None = None

    @property
    def ok(self) -> bool:
        """Return whether it ended well and its files are as it left them."""
        return self.outcome is not None and self.outcome.status is Status.OK and self.damage is None

    def record(self, cls: type[R], name: str) -> R | None:
        """Return a record that the job wrote, None unless it ended well; raises `StoreError` where it is damaged."""
        if not self.ok:
            return None
        path = self.folder / name
        try:
            return read_record(cls, path)
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            told = f"{path} is damaged ({type(error).__name__}); delete its job folder and run again"
            raise StoreError(told) from error


@dataclass(frozen=True)
class Damage:
    """A file of a run that cannot be used, and what makes it anew.

    Attributes:
        case_id: Id of the case that lacks it; empty for a file of the whole run.
        kind: Kind of the job, or `score`, `search` or `environment`.
        replicate: Replicate of the job.
        file: Path in the run.
        reason: Reason why it cannot be used.
    """

    case_id: str
    kind: str
    replicate: int
    file: str
    reason: str


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
    damages: tuple[Damage, ...] = ()

    @property
    def jobs(self) -> tuple[JobView, ...]:
        """Jobs that there is a folder of."""
        jobs = (self.train, self.export, self.predict, *self.times, self.profile, self.throughput)
        return tuple(job for job in jobs if job is not None)

    @property
    def headline(self) -> Score | None:
        """The score of the first metric; None until it is scored."""
        return self.scores.scores[0] if self.scores is not None and self.scores.scores else None

    def samples(self) -> list[Samples]:
        """Raw samples of every timing job that ended well; raises `StoreError` where a file is damaged."""
        files = [job.folder / layout.SAMPLES for job in self.times if job.ok]
        return [Samples.load(file) for file in files if file.is_file()]

    def profile_result(self) -> ProfileResult | None:
        """Return memory, energy and operations; None unless they were measured, raises `StoreError` where damaged."""
        return None if self.profile is None else self.profile.record(ProfileResult, layout.PROFILE)

    def loads(self) -> Loads | None:
        """Return what it came to under load; None unless that was measured, raises `StoreError` where damaged."""
        return None if self.throughput is None else self.throughput.record(Loads, layout.THROUGHPUT)

    @property
    def failures(self) -> tuple[JobView, ...]:
        """Jobs that ended, but not well."""
        return tuple(j for j in self.jobs if j.damage is not None or (j.outcome is not None and not j.ok))


@dataclass(frozen=True)
class RunView:
    """A run as far as it got.

    `environment` is that of the machine which resumed the run last, `environments` are those that its jobs were
    done in, by the name in their provenance.
    """

    folder: RunFolder
    plan: Plan
    environment: dict[str, JsonValue]
    cases: tuple[CaseView, ...]
    damages: tuple[Damage, ...] = ()
    environments: Mapping[str, dict[str, JsonValue]] = field(default_factory=dict)

    @property
    def unshifted(self) -> RunView:
        """The run without the cases whose images are shifted, which are told apart from all others; see `Shift`."""
        own = tuple(view for view in self.cases if view.case.shift is None)
        return replace(self, cases=own) if own else self

    @property
    def versions(self) -> dict[str, str]:
        """Package -> version, or every version if the interpreters of the adapters differ."""
        found: dict[str, dict[str, None]] = {}
        for view in self.cases:
            for job in view.jobs:
                for name, version in job.outcome.facts.versions.items() if job.outcome else ():
                    found.setdefault(name, {})[version] = None
        return {name: " and ".join(found[name]) for name in sorted(found)}
