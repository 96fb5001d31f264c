"""Everything a report says, computed once from a run: the forms only lay it out.

A pure function of files: the same run gives the same summary, half-finished runs included.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from bench.measure.samples import Samples
from bench.plugins import load_metric
from bench.records import Cost, JobFacts, Measurement, ProfileResult, PromptKind, Recipe, Record, Score, Status
from bench.records.loads import Loads
from bench.report.courses import Course, course_of_case
from bench.report.runtimes import RuntimeComparison, compare_runtimes
from bench.report.seeds import SeedGroup, SeedPair, seed_pairs, summarise_seeds
from bench.report.significance import Pair, all_pairs
from bench.score.statistics import Statistics, load_statistics
from bench.stats.audit import AuditResult, audit_predictions
from bench.stats.compare import LEAST_PROCESSES, latency_ratio
from bench.stats.latency import LatencySummary, end_to_end_draws, end_to_end_ms, summarise_latency
from bench.stats.pareto import Point, pareto_front, pareto_probability
from bench.stats.verdict import Verdict, judge
from bench.store import layout
from bench.store.loads import loads_of
from bench.store.profiles import profile_of
from bench.store.results import CaseView, JobView, RunView


class ScoreCell(Record):
    """A score with the heading it stands under."""

    label: str
    score: Score


class Row(Record):
    """One case in the tables.

    Attributes:
        case_id, model, dataset, target: What it is.
        status: `ok`, how its first failed job ended, or `unfinished`.
        parameters, weights_bytes: Of the network.
        scores: In the order of the suite's metrics; empty until it is scored.
        latency: None until it is timed.
        host_rss_peak_bytes: Largest over its timing processes.
        peak_device_bytes: Largest over its timing processes; None on a CPU.
        recipe: How it was trained by this run; None for models that bring their weights.
        trained_s, trained_steps, trained_images: What its training came to.
        course: What its training log says so far; None without one.
        verdict: What its timing is worth; None until it is timed.
        on_front: Whether no other model of its data set and device is better and as fast; None without score and
            latency, and where the verdict is `invalid`.
        front_probability: Share of joint resamples in which it is on that front.
        self_reported: The framework's own scores.
        not_honoured: Recipe fields the framework could not honour.
        fused_stages: Stages the framework cannot separate, each for example `preprocess+infer`.
        threads: Library -> threads in effect while it was timed, read back.
        prompt: What a prompted model was told of each object.
        random_weights: Whether a prompted network had no weights but random ones.
        profile: Its memory, energy and operations; None until they are measured.
        loads: What it came to under load; None unless that was measured.
    """

    case_id: str
    model: str
    dataset: str
    target: str
    status: str
    parameters: int | None = None
    weights_bytes: int | None = None
    scores: tuple[ScoreCell, ...] = ()
    latency: LatencySummary | None = None
    host_rss_peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    recipe: Recipe | None = None
    trained_s: float | None = None
    trained_steps: int | None = None
    trained_images: int | None = None
    course: Course | None = None
    verdict: Verdict | None = None
    on_front: bool | None = None
    front_probability: float | None = None
    self_reported: dict[str, float] = {}
    not_honoured: dict[str, str] = {}
    fused_stages: tuple[str, ...] = ()
    threads: dict[str, int] = {}
    prompt: PromptKind | None = None
    random_weights: bool = False
    profile: ProfileResult | None = None
    loads: Loads | None = None

    @property
    def headline(self) -> Score | None:
        """The first score of the suite."""
        return self.scores[0].score if self.scores else None

    @property
    def comparable_ms(self) -> float | None:
        """End-to-end median per image, None without it and where the verdict forbids its use."""
        if self.latency is None or (self.verdict is not None and self.verdict.state == "invalid"):
            return None
        timing = self.latency.end_to_end_at(50.0)
        return timing.ms_per_image if timing else None


class Failure(Record):
    """A job that did not end well, and the command that runs just that job again."""

    case_id: str
    kind: str
    replicate: int
    status: str
    reason: str
    log: str
    command: str


class Comparison(Record):
    """A model against the best of its data set, on the same images.

    Attributes:
        dataset: Of both.
        best, other: Rows, by case id.
        difference, low, high: Headline of the best minus the other's, 95 % interval.
        significant: Whether they differ after the correction for all pairs of the data set: `Pair.significant`.
        slower, slower_low, slower_high: End-to-end median of the other over the best's.
        slower_significant: Whether that interval leaves out one; None where one process gives no interval.
    """

    dataset: str
    best: str
    other: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    significant: bool | None = None
    slower: float | None = None
    slower_low: float | None = None
    slower_high: float | None = None
    slower_significant: bool | None = None


class RunSummary(Record):
    """What a run came to."""

    suite: str
    title: str
    source: str
    run: str
    planned_at: str
    headline: str
    higher_is_better: bool
    measurement: Measurement
    cost: Cost | None = None
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[Pair, ...] = ()
    seed_groups: tuple[SeedGroup, ...] = ()
    seed_pairs: tuple[SeedPair, ...] = ()
    runtimes: tuple[RuntimeComparison, ...] = ()
    environment: dict[str, JsonValue]
    versions: dict[str, str]


def summarise(run: RunView) -> RunSummary:
    """Compute everything a report says about a run."""
    metric = load_metric(run.plan.metrics[0])
    run = replace(run, cases=tuple(_with_current_scores(view, run.plan.metrics) for view in run.cases))
    timed = {view.case.id: _samples(view) for view in run.cases}
    rows = [_row(run, view, timed[view.case.id]) for view in run.cases]
    rows = _with_front(run, rows, timed, higher_is_better=metric.higher_is_better)
    pairs = all_pairs(run)
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
        measurement=run.cases[0].case.measurement,
        cost=run.plan.cost,
        rows=tuple(rows),
        failures=tuple(_failure(run, view, job) for view in run.cases for job in view.failures),
        comparisons=tuple(_comparisons(run, rows, timed, pairs)),
        pairs=pairs,
        seed_groups=groups,
        seed_pairs=seed_pairs(groups),
        runtimes=compare_runtimes(run, timed),
        environment=run.environment,
        versions=_versions(run),
    )


def _with_current_scores(view: CaseView, metrics: Sequence[str]) -> CaseView:
    """The case without scores of other metrics than the plan's: the suite has changed since they were taken."""
    if view.scores is None or [score.metric for score in view.scores.scores] == list(metrics):
        return view
    return replace(view, scores=None, statistics=None)


def _samples(view: CaseView) -> list[Samples]:
    files = [job.folder / layout.SAMPLES for job in view.times if job.ok]
    return [Samples.load(file) for file in files if file.is_file()]


def _row(run: RunView, view: CaseView, samples: list[Samples]) -> Row:
    case = view.case
    times = [job for job in view.times if job.ok]
    facts = [job.outcome.facts for job in (view.train, view.predict, *times) if job and job.ok and job.outcome]
    trained = view.train.outcome.facts if view.train and view.train.ok and view.train.outcome else None
    latency = summarise_latency(samples, case.measurement, run.plan.seed) if samples else None
    scores = view.scores.scores if view.scores else ()
    return Row(
        case_id=case.id,
        model=case.model.label,
        dataset=case.dataset.label,
        target=case.id.rpartition("@")[2],
        status=_status(view),
        parameters=_first(facts, "parameters"),
        weights_bytes=_first(facts, "weights_bytes"),
        scores=tuple(ScoreCell(label=load_metric(score.metric).label, score=score) for score in scores),
        latency=latency,
        host_rss_peak_bytes=_largest(times, "host_rss_peak_bytes"),
        peak_device_bytes=_largest(times, "peak_device_bytes"),
        recipe=case.recipe,
        trained_s=trained.trained_s if trained else None,
        trained_steps=trained.trained_steps if trained else None,
        trained_images=trained.trained_images if trained else None,
        course=course_of_case(view),
        verdict=judge(facts, latency.doubts, _audits(view)) if latency else None,
        self_reported=trained.self_reported if trained else {},
        not_honoured=trained.not_honoured if trained else {},
        fused_stages=tuple(dict.fromkeys(stage for f in facts for stage in f.fused_stages)),
        threads=next((job.outcome.facts.threads for job in times if job.outcome), {}),
        prompt=case.model.prompt,
        # Prompted adapters take weights in no other way, and fakes have no parameters.
        random_weights=case.model.prompt is not None
        and case.model.weights is None
        and bool(_first(facts, "parameters")),
        profile=profile_of(view),
        loads=loads_of(view),
    )


def _status(view: CaseView) -> str:
    """How the case ended: by what its scores and latency need; further passes fail for themselves."""
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
    kind = view.case.model.task
    return [audit_predictions(predictions, job.folder / layout.AUDIT, kind) for job in view.times if job.ok]


def _first(facts: Sequence[JobFacts], name: str) -> int | None:
    return next((getattr(f, name) for f in facts if getattr(f, name) is not None), None)


def _largest(jobs: Sequence[JobView], name: str) -> int | None:
    values = [getattr(job.outcome.facts, name) for job in jobs if job.outcome is not None]
    return max((value for value in values if value is not None), default=None)


def _failure(run: RunView, view: CaseView, job: JobView) -> Failure:
    assert job.outcome is not None
    command = f"bench run {shlex.quote(run.plan.source)} --only {shlex.quote(view.case.id)} --kind {job.job.kind}"
    return Failure(
        case_id=view.case.id,
        kind=job.job.kind,
        replicate=job.job.replicate,
        status=job.outcome.status.value,
        reason=job.outcome.reason or "",
        log=str(Path("jobs") / job.folder.name / layout.WORKER_LOG),
        command=command,
    )


def _versions(run: RunView) -> dict[str, str]:
    """Package -> version, or every version if the interpreters of the adapters differ."""
    found: dict[str, dict[str, None]] = {}
    for view in run.cases:
        for job in view.jobs:
            for name, version in job.outcome.facts.versions.items() if job.outcome else ():
                found.setdefault(name, {})[version] = None
    return {name: " and ".join(found[name]) for name in sorted(found)}


# --------------------------------------------------------------------------- between models


def _with_front(run: RunView, rows: list[Row], timed: dict[str, list[Samples]], *, higher_is_better: bool) -> list[Row]:
    """Mark the Pareto front of each data set and device, with its probability."""
    views = {view.case.id: view for view in run.cases}
    by_group: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.headline is not None and row.headline.value is not None and row.comparable_ms is not None:
            by_group.setdefault((row.dataset, views[row.case_id].case.target.device), []).append(row)
    marked: dict[str, Row] = {}
    sign = 1 if higher_is_better else -1
    for group in by_group.values():
        points = [Point(sign * _value(row), row.comparable_ms or 0.0) for row in group]
        front = pareto_front(points)
        probability = _front_probability(run, group, views, timed, sign)
        for index, row in enumerate(group):
            marked[row.case_id] = row.model_copy(
                update={"on_front": index in front, "front_probability": probability[index]}
            )
    return [marked.get(row.case_id, row) for row in rows]


def _front_probability(
    run: RunView, group: list[Row], views: dict[str, CaseView], timed: dict[str, list[Samples]], sign: int
) -> list[float | None]:
    metric = load_metric(run.plan.metrics[0])
    statistics = [_statistics(views[row.case_id]) for row in group]
    single = any(len(timed[row.case_id]) < LEAST_PROCESSES for row in group)
    if single or len(group) < 2 or any(s is None or metric.statistic not in s.arrays for s in statistics):
        return [None] * len(group)
    scores = [
        metric.bootstrap(s.arrays[metric.statistic], views[row.case_id].task.classes, seed=run.plan.seed)
        for row, s in zip(group, statistics, strict=True)
        if s is not None
    ]
    latencies = [end_to_end_draws(timed[row.case_id], 50.0, seed=run.plan.seed + i) for i, row in enumerate(group)]
    if len({len(draws) for draws in (*scores, *latencies)}) != 1:
        return [None] * len(group)
    return [float(p) for p in pareto_probability(sign * np.stack(scores), np.stack(latencies))]


def _comparisons(
    run: RunView, rows: list[Row], timed: dict[str, list[Samples]], pairs: Sequence[Pair]
) -> list[Comparison]:
    metric = load_metric(run.plan.metrics[0])
    views = {view.case.id: view for view in run.cases}
    between = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        scored = [r for r in rows if r.dataset == dataset and r.headline is not None and r.headline.value is not None]
        if len(scored) < 2:
            continue
        best = (max if metric.higher_is_better else min)(scored, key=_value)
        for other in scored:
            if other is not best:
                latencies = timed if best.comparable_ms and other.comparable_ms else {}
                pair = between.get(frozenset((best.case_id, other.case_id)))
                found.append(_compared(run, views[best.case_id], views[other.case_id], pair, latencies))
    return found


def _compared(
    run: RunView, best: CaseView, other: CaseView, pair: Pair | None, timed: dict[str, list[Samples]]
) -> Comparison:
    comparison = Comparison(dataset=best.case.dataset.label, best=best.case.id, other=other.case.id)
    if pair is not None:
        seen = pair.seen_from(best.case.id)
        comparison = comparison.model_copy(
            update={
                "difference": seen.difference,
                "low": seen.low,
                "high": seen.high,
                "significant": seen.significant,
            }
        )
    if timed:
        ratio = latency_ratio(
            end_to_end_ms(timed[other.case.id]), end_to_end_ms(timed[best.case.id]), seed=run.plan.seed
        )
        comparison = comparison.model_copy(
            update={
                "slower": ratio.ratio,
                "slower_low": ratio.low,
                "slower_high": ratio.high,
                "slower_significant": ratio.significant,
            }
        )
    return comparison


def _statistics(view: CaseView) -> Statistics | None:
    return load_statistics(view.statistics) if view.statistics is not None else None


def _value(row: Row) -> float:
    assert row.headline is not None
    assert row.headline.value is not None
    return row.headline.value
