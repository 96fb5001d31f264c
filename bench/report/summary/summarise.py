"""Everything a report says, computed once from a run: the forms only lay it out.

A pure function of files: the same run gives the same summary, half-finished runs included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.errors import StoreError
from bench.metric import load_metric
from bench.records import Case, Cost, Interference, Job, JobFacts, Measurement, Record, Status
from bench.records.store import layout
from bench.records.store.invocation import rerun_command
from bench.records.store.samples import Samples
from bench.records.store.statistics import load_statistics
from bench.records.store.views import AcceptedCode, CaseView, Damage, JobView, RunView
from bench.report.summary.audit import AuditResult, audit_predictions, judge
from bench.report.summary.columns import Columns, planned_columns
from bench.report.summary.comparisons import RuntimeComparison, compare_runtimes, comparisons, with_front
from bench.report.summary.folds import FoldGroup, summarise_folds
from bench.report.summary.latency import TimedCase, summarise_latency
from bench.report.summary.origins import Origin, jobs_by_origin, origins_of, unlike_score_code
from bench.report.summary.per_image import images_of_case, median_latencies
from bench.report.summary.probability_curves import ProbabilityCurves, probability_curves
from bench.report.summary.robustness import Robustness, robustness
from bench.report.summary.rows import Comparison, Row, ScoreCell
from bench.report.summary.searches import SearchSummary, summarise_searches
from bench.report.summary.seeds import SeedGroup, SeedPair, seed_pairs, summarise_seeds
from bench.report.summary.significance import LeftOutScores, Pair, PairFamily, all_pairs
from bench.report.summary.slices import SliceTable, SliceTables
from bench.report.summary.sweeps import Sweep, summarise_sweeps
from bench.report.summary.training_progress import progress_of_case, training_doubts

DAMAGED = "damaged"
"""Status of a job or file that was changed, cut off or removed after it was written; its numbers are not used."""


class Failure(Record):
    """A job that did not end well, or a file that is damaged, and the command that makes just that anew.

    `case_id` is empty where a file of the whole run is damaged.
    """

    case_id: str
    kind: str
    replicate: int
    status: str
    reason: str
    log: str
    command: str


SHARE = "0–1"
"""Unit of a score that is a share."""


class RunSummary(Record):
    """The results of a run.

    `environment` is the one that every job was done in, or where they differ (`origins`) the one of the machine
    that resumed the run last.
    """

    suite: str
    title: str
    source: str
    run: str
    planned_at: str
    headline: str
    higher_is_better: bool
    measurement: Measurement
    cost: Cost | None = None
    left_out: int = 0
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[Pair, ...] = ()
    pair_families: tuple[PairFamily, ...] = ()
    seed_groups: tuple[SeedGroup, ...] = ()
    seed_pairs: tuple[SeedPair, ...] = ()
    fold_groups: tuple[FoldGroup, ...] = ()
    runtimes: tuple[RuntimeComparison, ...] = ()
    environment: dict[str, JsonValue]
    origins: tuple[Origin, ...] = ()
    unlike_score_code: tuple[str, ...] = ()
    accepted_code: AcceptedCode | None = None
    versions: dict[str, str]
    data_notes: dict[str, tuple[str, ...]] = {}
    slices: tuple[SliceTable, ...] = ()
    probabilities: tuple[ProbabilityCurves, ...] = ()
    robustness: tuple[Robustness, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    searches: tuple[SearchSummary, ...] = ()

    @cached_property
    def several_datasets(self) -> bool:
        """Return whether rows are of more than one data set, so that each says of which it is."""
        return len({row.dataset for row in self.rows}) > 1

    @cached_property
    def several_targets(self) -> bool:
        """Return whether rows differ in their target, so that each says which it has."""
        return len({row.target for row in self.rows}) > 1

    def columns_of(self, row: Row) -> dict[str, str]:
        """Return the columns that name a row; those in which all rows agree are left to the heading."""
        names = {"model": row.model}
        if self.several_datasets:
            names["data set"] = row.dataset
        if self.several_targets:
            names["target"] = row.target
        return names

    def name_of(self, row: Row) -> str:
        """Return the model, with its target where rows differ in it."""
        return f"{row.model} ({row.target})" if self.several_targets else row.model

    @cached_property
    def names(self) -> dict[str, str]:
        """Case id -> the name of its row."""
        return {row.case_id: self.name_of(row) for row in self.rows}

    def label_of(self, row: Row) -> str:
        """Return the model, with its data set and target where rows differ in them."""
        return " · ".join(self.columns_of(row).values())

    @cached_property
    def headings(self) -> dict[str, str]:
        """Name of a metric -> its heading in the tables, of those that are scored."""
        return {cell.score.metric: cell.label for row in self.rows for cell in row.scores}

    @cached_property
    def unit(self) -> str:
        """Unit of the headline metric."""
        return next((row.headline.unit for row in self.rows if row.headline and row.headline.unit), None) or SHARE

    @property
    def headline_in_unit(self) -> str:
        """The headline metric with the unit of its values."""
        return f"{self.headline} ({self.unit})"


def usable_cases(run: RunView, chosen: Collection[str] | None = None) -> RunView:
    """Return the run without scores of other metrics than the plan's, and with what cannot be read marked as damaged.

    Args:
        run: The run as it was read.
        chosen: Ids of the cases whose files are looked into; None looks into all.
    """
    cases = (
        view if chosen is not None and view.case.id not in chosen else usable_case(run, view) for view in run.cases
    )
    return replace(run, cases=tuple(cases))


def usable_case(run: RunView, view: CaseView) -> CaseView:
    """Return a case without scores of other metrics than the plan's, and with what cannot be read marked."""
    if view.scores is not None and [score.metric for score in view.scores.scores] != list(run.plan.metrics):
        view = replace(view, scores=None, statistics=None)  # the suite has changed since they were taken
    return _without_damaged_passes(run, view)


def summarise(run: RunView, columns: Mapping[str, Columns] | None = None) -> RunSummary:
    """Compute everything a report says about a run.

    Args:
        run: The run, finished or not.
        columns: Label of a data set, or "" for all -> columns of a table of the user's, by which images are sliced,
            beside those that the suite names.
    """
    metric, origins, own = load_metric(run.plan.metrics[0]), origins_of(run.unshifted), run.unshifted
    gathered = _case_by_case(own, origins, columns or {})
    ids = {view.case.id for view in own.cases}
    shifted = [usable_case(run, view) for view in run.cases if view.case.id not in ids]
    whole = replace(run, cases=(*gathered.run.cases, *shifted))
    run, timed = gathered.run, gathered.timed
    alone = next((origin.environment for origin in origins.values()), None)
    rows = with_front(run, gathered.rows, timed, gathered.left_out, higher_is_better=metric.higher_is_better)
    compared = all_pairs(run, gathered.left_out)
    groups = summarise_seeds(
        [view.case for view in run.cases], {view.case.id: view.scores for view in run.cases if view.scores}
    )
    return RunSummary(
        suite=run.plan.suite,
        title=run.plan.title,
        source=run.plan.source,
        run=run.folder.name,
        planned_at=run.plan.planned_at,
        headline=metric.label,
        higher_is_better=metric.higher_is_better,
        measurement=measurement_of([view.case for view in run.cases]),
        cost=run.plan.cost,
        left_out=len(run.plan.cases) - len(whole.cases),
        data_notes=run.plan.data_notes,
        rows=tuple(rows),
        failures=tuple(_failures(whole)),
        comparisons=tuple(comparisons(run, rows, timed, compared.pairs)),
        pairs=compared.pairs,
        pair_families=compared.families,
        seed_groups=groups,
        seed_pairs=seed_pairs(groups),
        fold_groups=summarise_folds(run),
        runtimes=compare_runtimes(run, timed),
        environment=(alone if len(origins) == 1 else None) or run.environment,
        origins=tuple(origins.values()),
        unlike_score_code=unlike_score_code(run),
        accepted_code=run.plan.accepted_code,
        versions=run.versions,
        slices=gathered.slices,
        probabilities=probability_curves(run.cases),
        robustness=robustness(whole),
        sweeps=summarise_sweeps(run, higher_is_better=metric.higher_is_better),
        searches=summarise_searches(run.folder),
    )


def measurement_of(cases: Sequence[Case]) -> Measurement:
    """Return the measurement that a run is told by: that of the first case that is timed, or of the first."""
    return next((case.measurement for case in cases if case.measurement.times), cases[0].measurement)


class _Gathered(NamedTuple):
    """Results of each case by itself; `run` has its cases as far as they can be used."""

    run: RunView
    rows: list[Row]
    timed: dict[str, TimedCase]
    left_out: dict[str, NDArray[np.float64]]
    slices: tuple[SliceTable, ...]


def _case_by_case(run: RunView, origins: Mapping[str, Origin], columns: Mapping[str, Columns]) -> _Gathered:
    """Go through the cases once: raw samples and statistics of all of them together are more than should be held."""
    metric, own = load_metric(run.plan.metrics[0]), planned_columns(run)
    slices = SliceTables(metric, seed=run.plan.seed, columns={**own.columns, **columns}, notes=own.notes)
    left_out = LeftOutScores(metric, run.plan.seed)
    rows, timed, views = [], {}, []
    for one in run.cases:
        view = usable_case(run, one)
        samples = view.samples()
        rows.append(row_of(run, view, samples).model_copy(update={"origins": jobs_by_origin(view, origins)}))
        left_out.add(view)
        slices.add(images_of_case(view, run.plan.metrics[:1], median_latencies(samples)))
        timed[view.case.id] = TimedCase.of(samples)
        views.append(view)
    return _Gathered(replace(run, cases=tuple(views)), rows, timed, left_out.found, slices.tables())


def _without_damaged_passes(run: RunView, view: CaseView) -> CaseView:
    """The case with each job marked whose files cannot be read, and without statistics that cannot be."""

    def checked(job: JobView | None, read: Callable[[], object]) -> JobView | None:
        if job is None or not job.ok:
            return job
        try:
            read()
        except StoreError as error:
            return replace(job, damage=str(error))
        return job

    times = [checked(job, partial(Samples.load, job.folder / layout.SAMPLES)) for job in view.times]
    view = replace(
        view,
        times=tuple(job for job in times if job is not None),
        profile=checked(view.profile, view.profile_result),
        throughput=checked(view.throughput, view.loads),
    )
    if view.statistics is not None:
        try:
            load_statistics(view.statistics)
        except StoreError as error:
            file = view.statistics.relative_to(run.folder.path).as_posix()
            damage = Damage(view.case.id, "score", 0, file, str(error))
            return replace(view, statistics=None, damages=(*view.damages, damage))
    return view


def row_of(run: RunView, view: CaseView, samples: list[Samples]) -> Row:
    """Return what the tables say of a case that can be used, but for what takes the other cases."""
    case = view.case
    times = [job for job in view.times if job.ok]
    facts = [job.outcome.facts for job in (view.train, view.predict, *times) if job and job.ok and job.outcome]
    trained = view.train.outcome.facts if view.train and view.train.ok and view.train.outcome else JobFacts()
    latency = summarise_latency(samples, case.measurement, run.plan.seed) if samples else None
    scores = view.scores.scores if view.scores else ()
    doubts = (*(latency.doubts if latency else ()), *(flag for score in scores for flag in score.flags))
    judged = latency or (scores and not case.measurement.times)
    return Row(
        case_id=case.id,
        model=case.model.label,
        dataset=case.dataset.label,
        target=case.id.rpartition("@")[2],
        status=_status(view),
        parameters=_first(facts, "parameters"),
        weights_bytes=_first(facts, "weights_bytes"),
        scores=tuple(ScoreCell(label=load_metric(score.metric).label, score=score) for score in scores),
        few_images=view.scores.few_images if view.scores else {},
        latency=latency,
        host_rss_peak_bytes=_largest(times, "host_rss_peak_bytes"),
        peak_device_bytes=_largest(times, "peak_device_bytes"),
        recipe=case.recipe,
        trained_s=trained.trained_s,
        trained_steps=trained.trained_steps,
        trained_images=trained.trained_images,
        trained_data_wait_s=trained.trained_data_wait_s,
        course=progress_of_case(view),
        scored_only=not case.measurement.times,
        verdict=judge(facts, [*doubts, *training_doubts(view)], _audits(view)) if judged else None,
        self_reported=trained.self_reported,
        not_honoured=trained.not_honoured,
        fused_stages=tuple(dict.fromkeys(stage for f in facts for stage in f.fused_stages)),
        threads=next((job.outcome.facts.threads for job in times if job.outcome), {}),
        prompt=case.model.prompt,
        # Prompted adapters take weights in no other way, and fakes have no parameters.
        random_weights=bool(case.model.prompt and case.model.weights is None and _first(facts, "parameters")),
        weights_read=facts[0].weights_read if facts else {},
        input_contract=next((f.input_contract for f in facts[::-1] if f.input_contract), {}),
        profile=view.profile_result(),
        loads=view.loads(),
        timing_interference=_interference(view.times),
        training_interference=_interference([view.train] if view.train else []),
    )


def _status(view: CaseView) -> str:
    """Return how the case ended: by what its scores and latency need; further passes fail for themselves."""
    if view.damages or any(job.damage for job in view.failures if job.job.kind not in ("profile", "throughput")):
        return DAMAGED
    for job in view.failures:
        if job.outcome is not None and job.job.kind not in ("profile", "throughput"):
            return job.outcome.status.value
    expected = len(view.times) == view.case.measurement.replicates and all(job.ok for job in view.times)
    done = view.predict is not None and view.predict.ok and view.scores is not None and expected
    return Status.OK.value if done else "unfinished"


def _audits(view: CaseView) -> list[AuditResult]:
    if view.predict is None or not view.predict.ok:
        return []
    predictions = view.predict.folder / layout.PREDICTIONS
    kind, device = view.case.model.task, view.case.target.device
    folders = [job.folder / layout.AUDIT for job in view.times if job.ok]
    return [audit_predictions(predictions, folder, kind, device=device) for folder in folders]


def _first(facts: Sequence[JobFacts], name: str) -> int | None:
    return next((getattr(f, name) for f in facts if getattr(f, name) is not None), None)


def _largest(jobs: Sequence[JobView], name: str) -> int | None:
    values = [getattr(job.outcome.facts, name) for job in jobs if job.outcome is not None]
    return max((value for value in values if value is not None), default=None)


def _interference(jobs: Sequence[JobView]) -> tuple[Interference, ...]:
    """Return what the jobs that succeeded recorded of other processes; nothing for those that were not watched."""
    facts = [job.outcome.facts for job in jobs if job.ok and job.outcome is not None]
    return tuple(one.interference for one in facts if one.interference is not None)


def _failures(run: RunView) -> Iterator[Failure]:
    """Yield jobs that failed, and files that cannot be used: nothing goes missing in silence."""

    def failure(of: Job | Damage, **told: str) -> Failure:
        command = rerun_command(run, of.case_id, of.kind)
        return Failure(case_id=of.case_id, kind=of.kind, replicate=of.replicate, command=command, **told)

    def damaged(damages: Sequence[Damage]) -> Iterator[Failure]:
        for one in damages:
            yield failure(one, status=DAMAGED, reason=f"{one.file}: {one.reason}", log="")

    yield from damaged(run.damages)
    for view in run.cases:
        for job in view.failures:
            status = DAMAGED if job.damage is not None or job.outcome is None else job.outcome.status.value
            reason = job.damage or (job.outcome.reason if job.outcome is not None else None) or ""
            log = str(Path("jobs") / job.folder.name / layout.WORKER_LOG)
            yield failure(job.job, status=status, reason=reason, log=log)
        yield from damaged(view.damages)
