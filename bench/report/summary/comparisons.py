"""Compares the models of a run: the Pareto front of score and latency, and each model against the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import load_metric
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.report.summary.compare import LatencyRatio, latency_ratio
from bench.report.summary.latency import TimedCase, end_to_end_draws
from bench.report.summary.rows import Comparison, Row, value_of
from bench.report.summary.significance import Pair
from bench.score.stats.holm import holm, interval_levels
from bench.score.stats.intervals import DRAWS
from bench.score.stats.jackknife import joint_draws
from bench.score.stats.pareto import Point, pareto_front, pareto_probability
from bench.score.stats.processes import LEAST_PROCESSES
from bench.score.stats.student import LEVEL


def with_front(
    run: RunView,
    rows: list[Row],
    timed: Mapping[str, TimedCase],
    left_out: Mapping[str, NDArray[np.float64]],
    *,
    higher_is_better: bool,
) -> list[Row]:
    """Mark the Pareto front of each data set and device, with its probability."""
    views = {view.case.id: view for view in run.cases}
    by_group = grouped(
        ((row.dataset, views[row.case_id].case.target.device), row)
        for row in rows
        if row.headline is not None and row.headline.value is not None and row.comparable_ms is not None
    )
    marked: dict[str, Row] = {}
    sign = 1 if higher_is_better else -1
    for group in by_group.values():
        points = [Point(sign * value_of(row), row.comparable_ms or 0.0) for row in group]
        front = set(pareto_front(points))
        probability = _front_probability(group, timed, left_out, sign, seed=run.plan.seed)
        for index, row in enumerate(group):
            marked[row.case_id] = row.model_copy(
                update={"pareto_optimal": index in front, "pareto_probability": probability[index]}
            )
    return [marked.get(row.case_id, row) for row in rows]


def _front_probability(
    group: list[Row],
    timed: Mapping[str, TimedCase],
    left_out: Mapping[str, NDArray[np.float64]],
    sign: int,
    *,
    seed: int,
) -> list[float | None]:
    single = any(len(timed[row.case_id].processes) < LEAST_PROCESSES for row in group)
    if single or len(group) < 2 or any(row.case_id not in left_out for row in group):
        return [None] * len(group)
    of_group = [left_out[row.case_id] for row in group]
    if len({len(values) for values in of_group}) != 1 or len(of_group[0]) < 2:
        return [None] * len(group)
    values = np.array([value_of(row) for row in group])
    scores = joint_draws(values, np.stack(of_group), seed=seed, draws=DRAWS)
    latencies = [end_to_end_draws(timed[row.case_id], 50.0, seed=seed + i) for i, row in enumerate(group)]
    return [float(p) for p in pareto_probability(sign * scores, np.stack(latencies))]


def comparisons(
    run: RunView, rows: list[Row], timed: Mapping[str, TimedCase], pairs: Sequence[Pair]
) -> list[Comparison]:
    """Return every scored case against the best of its data set: paired difference and ratio of latencies."""
    metric = load_metric(run.plan.metrics[0])
    views = {view.case.id: view for view in run.cases}
    between = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    found = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        scored = [r for r in rows if r.dataset == dataset and r.headline is not None and r.headline.value is not None]
        if len(scored) < 2:
            continue
        best = (max if metric.higher_is_better else min)(scored, key=value_of)
        others = [other for other in scored if other is not best]
        ratios = _against(best, others, timed)
        for other in others:
            pair = between.get(frozenset((best.case_id, other.case_id)))
            one = _compared(views[best.case_id], views[other.case_id], pair)
            found.append(one.model_copy(update=ratios.get(other.case_id, {})))
    return found


def _compared(best: CaseView, other: CaseView, pair: Pair | None) -> Comparison:
    comparison = Comparison(dataset=best.case.dataset.label, best=best.case.id, other=other.case.id)
    if pair is None:
        return comparison
    seen = pair.seen_from(best.case.id)
    same = ("difference", "low", "high", "p_holm", "significant")
    return comparison.model_copy(update={name: getattr(seen, name) for name in same})


def _against(best: Row, others: Sequence[Row], timed: Mapping[str, TimedCase]) -> dict[str, dict[str, object]]:
    """The fields of the latency of each of a family, by case id; none where a timing must not be used."""
    of_best = timed[best.case_id].processes
    ratios = {
        other.case_id: latency_ratio(timed[other.case_id].processes, of_best)
        for other in others
        if best.comparable_ms and other.comparable_ms
    }
    p_values = [ratio.p for ratio in ratios.values() if ratio.p is not None]
    corrected = iter(zip(holm(p_values), interval_levels(p_values), strict=True))
    found = {}
    for case_id, ratio in ratios.items():
        p, level = next(corrected) if ratio.p is not None else (None, LEVEL)
        found[case_id] = _of_ratio(ratio.at_level(level), p)
    return found


def _of_ratio(ratio: LatencyRatio, p_holm: float | None) -> dict[str, object]:
    return {
        "slower": ratio.ratio,
        "slower_low": ratio.low,
        "slower_high": ratio.high,
        "slower_p_holm": p_holm,
        "slower_significant": None if p_holm is None else p_holm < LEVEL,
    }
