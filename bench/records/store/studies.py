"""Searches of recipes as they lie in a run: what each trial was asked to try, and what its job's files say came of it.

The file of a search holds what its sampler proposed and nothing else. How a trial ended, what it scored and how far it
was ahead at each validation stand in the files of its jobs, so that there is one truth and no database beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import JsonValue, ValidationError

from bench.errors import StoreError
from bench.records import Record, Status, Tune, read_record
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damage_of, record_facts
from bench.records.store.runs import find_job, find_trained, is_of, read_scores
from bench.records.store.training_log import read_training_log
from bench.records.store.views import JobView, PlannedCase

TrialState = Literal["complete", "pruned", "failed", "unfinished"]
TRIAL_STATES: tuple[TrialState, ...] = get_args(TrialState)


class Trial(Record):
    """A recipe that a search tries.

    Attributes:
        number: Number of the trial, counted from 0.
        params: Field -> choice of the sampler: a number, or the place of a choice.
        values: Field -> value in the recipe.
        planned: The case, with the keys of its jobs.
        in_flight: Numbers of the trials that were not over when it was proposed.
    """

    number: int
    params: dict[str, int | float]
    values: dict[str, JsonValue]
    planned: PlannedCase
    in_flight: tuple[int, ...] = ()


class Study(Record):
    """A search of the recipe of one model on one data set.

    Attributes:
        name: Name that no other search of the run has.
        digest: Digest of everything that decides its trials beside their budget: another digest is another search.
        tune: Settings of the search, as the suite states them.
        metric: Metric that is compared, on the validation split.
        higher_is_better: Direction of the metric.
        final_ids: Cases that are trained with the best recipe.
        optuna: Version of Optuna, which proposed the trials.
        ray_tune: Version of Ray, whose Tune asked Optuna and ended trials early; empty where it did not.
        trials: Trials in the order in which they were proposed.
        ended: Reason why no further trial is proposed; None while there may be one.
    """

    name: str
    digest: str
    tune: Tune
    metric: str
    higher_is_better: bool
    final_ids: tuple[str, ...]
    optuna: str
    ray_tune: str = ""
    trials: tuple[Trial, ...] = ()
    ended: str | None = None


@dataclass(frozen=True)
class TrialView:
    """A trial with its results.

    Attributes:
        trial: The trial itself.
        state: `complete` has a score; `pruned` was ended early; `failed` has none and never will.
        value: Score on the validation split, or of a pruned trial the last validation of its training.
        validations: Values at each validation of its training, in order; None where one is not known.
        seconds: Seconds that its jobs took.
        reason: Reason why it was pruned or failed; None if it was not.
    """

    trial: Trial
    state: TrialState
    value: float | None
    validations: tuple[float | None, ...]
    seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class StudyView:
    """A search with what came of its trials."""

    study: Study
    trials: tuple[TrialView, ...]

    @property
    def best(self) -> TrialView | None:
        """The complete trial with the best score, the first of equal ones; None without one."""
        sign = 1 if self.study.higher_is_better else -1
        known = [one for one in self.trials if one.state == "complete" and one.value is not None]
        return max(known, key=lambda one: (sign * (one.value or 0.0), -one.trial.number), default=None)

    @property
    def seconds(self) -> float:
        """Return the seconds that the trials took together."""
        return sum(one.seconds for one in self.trials)

    def count(self, state: TrialState) -> int:
        """Return how many trials are in a state."""
        return sum(one.state == state for one in self.trials)

    @property
    def counts(self) -> str:
        """Return how many trials are in which state, in words."""
        return ", ".join(f"{self.count(state)} {state}" for state in TRIAL_STATES if self.count(state)) or "no trial"


def write_study(run: RunFolder, study: Study) -> None:
    """Write the file of a search; the caller holds the run's lock."""
    file = run.study(study.name)
    write_record(file, study)
    record_facts(run, [file])


def read_study(run: RunFolder, name: str) -> Study | None:
    """Return a search of a run, None where there is none; raises `StoreError` if its file was changed or is damaged."""
    file = run.study(name)
    if not file.is_file():
        return None
    changed = damage_of(run, file)
    try:
        if changed is None:
            return read_record(Study, file)
    except (ValidationError, OSError, UnicodeDecodeError):
        changed = f"{file.name} is damaged or from another version of the harness"
    raise StoreError(
        f"{file}: {changed}. Its trials lie in the run's jobs and are used again where they fit: move the file away, "
        "and the next bench run begins the search anew"
    )


def read_studies(run: RunFolder) -> tuple[StudyView, ...]:
    """Return the searches of a run with what came of their trials; the run tells of those that cannot be read."""
    found = []
    for file in sorted((run.path / layout.TUNING).glob("*.json")):
        try:
            study = read_record(Study, file)
        except (ValidationError, OSError, UnicodeDecodeError):
            continue
        if damage_of(run, file) is None:
            found.append(study_view(run, study))
    return tuple(found)


def study_view(run: RunFolder, study: Study) -> StudyView:
    """Return a search with what the run's files say of its trials."""
    return StudyView(study, tuple(trial_view(run, study, trial) for trial in study.trials))


def trial_view(run: RunFolder, study: Study, trial: Trial) -> TrialView:
    """Return what the run's files say of a trial."""
    planned = trial.planned
    train = find_job(run, "train", planned.train_key or "")
    if train is None:  # as any case, a trial may share a finished training of another run
        train = find_trained(run.path.parent.parent, planned.train_key or "")
    predict = find_job(run, "predict", planned.predict_key)
    jobs = [job for job in (train, predict) if job is not None]
    validations = _validations(train)
    seconds = sum(job.outcome.wall_s for job in jobs if job.outcome is not None)
    if train is not None and train.outcome is not None and train.outcome.status is Status.PRUNED:
        value = next((one for one in reversed(validations) if one is not None), None)
        return TrialView(trial, "pruned", value, validations, seconds, train.outcome.reason)
    for job in jobs:
        if job.damage is None and job.outcome is not None and job.outcome.status is not Status.OK:
            reason = f"{job.job.kind} {job.outcome.status.value}: {job.outcome.reason or ''}".strip()
            return TrialView(trial, "failed", None, validations, seconds, reason)
    if predict is None or not predict.ok or train is None or not train.ok:
        return TrialView(trial, "unfinished", None, validations, seconds)
    scores = read_scores(run, planned.case.id).scores
    if scores is None or not is_of(scores, planned.predict_key, predict.folder / layout.PREDICTIONS):
        return TrialView(trial, "unfinished", None, validations, seconds)
    score = next((one for one in scores.scores if one.metric == study.metric), None)
    if score is None:
        return TrialView(trial, "unfinished", None, validations, seconds)
    if score.value is None:
        return TrialView(trial, "failed", None, validations, seconds, f"undefined: {score.undefined_because}")
    return TrialView(trial, "complete", score.value, validations, seconds)


def _validations(train: JobView | None) -> tuple[float | None, ...]:
    log = read_training_log(train.folder / layout.TRAINING_LOG) if train is not None else None
    if log is None or log.validated_by is None:
        return ()
    name = log.validated_by
    return tuple(one.values.get(name) for one in log.validations)
