"""What stands between the models of a run: the front of score and latency, and each against the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metric import load_metric
from bench.records.store.samples import Samples
from bench.records.store.statistics import Statistics, load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary.compare import LEAST_PROCESSES, latency_ratio
from bench.report.summary.latency import end_to_end_draws, end_to_end_ms
from bench.report.summary.rows import Comparison, Row, value_of
from bench.report.summary.significance import Pair
from bench.score.stats.pareto import Point, pareto_front, pareto_probability


def with_front(run: RunView, rows: list[Row], timed: dict[str, list[Samples]], *, higher_is_better: bool) -> list[Row]:
    """Mark the Pareto front of each data set and device, with its probability."""
    views = {view.case.id: view for view in run.cases}
    by_group: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.headline is not None and row.headline.value is not None and row.comparable_ms is not None:
            by_group.setdefault((row.dataset, views[row.case_id].case.target.device), []).append(row)
    marked: dict[str, Row] = {}
    sign = 1 if higher_is_better else -1
    for group in by_group.values():
        points = [Point(sign * value_of(row), row.comparable_ms or 0.0) for row in group]
        front = pareto_front(points)
        probability = _front_probability(run, group, views, timed, sign)
        for index, row in enumerate(group):
            marked[row.case_id] = row.model_copy(
                update={"pareto_optimal": index in front, "pareto_probability": probability[index]}
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


def comparisons(
    run: RunView, rows: list[Row], timed: dict[str, list[Samples]], pairs: Sequence[Pair]
) -> list[Comparison]:
    """Every scored case against the best of its data set: paired difference and ratio of latencies."""
    metric = load_metric(run.plan.metrics[0])
    views = {view.case.id: view for view in run.cases}
    between = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        scored = [r for r in rows if r.dataset == dataset and r.headline is not None and r.headline.value is not None]
        if len(scored) < 2:
            continue
        best = (max if metric.higher_is_better else min)(scored, key=value_of)
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
                "p_holm": seen.p_holm,
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
