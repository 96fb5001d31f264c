"""Compares the cases of a run: the Pareto front of score and latency, models with the best, runtimes with eager.

Two exports of one network differ by rounding, which can only move pixels whose two highest logits nearly tie. More
changed pixels than that mean that another network runs: a layer exported in another way, other arithmetic, other
pre-processing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import load_metric
from bench.records import Case, Record
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.report.summary.compare import latency_ratio
from bench.report.summary.latency import TimedCase, end_to_end_draws
from bench.report.summary.rows import Comparison, Row, value_of
from bench.report.summary.significance import Pair
from bench.score.changed_pixels import changed_pixels
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
    found: dict[str, dict[str, object]] = {}
    for case_id, ratio in ratios.items():
        p, level = next(corrected) if ratio.p is not None else (None, LEVEL)
        at_level = ratio.at_level(level)
        found[case_id] = {
            "slower": at_level.ratio,
            "slower_low": at_level.low,
            "slower_high": at_level.high,
            "slower_p_holm": p,
            "slower_significant": None if p is None else p < LEVEL,
        }
    return found


TOLERANCE = 0.001
"""Share of changed pixels up to which an export counts as the same network, in fp32."""

KEPT_SCORE = 0.99
"""Share of the eager score that must remain in any arithmetic: the usual accuracy target of MLPerf Inference."""


class RuntimeComparison(Record):
    """A case against the one that differs from it in the runtime alone, which is eager; for int8, which is not had
    eagerly, that one is in fp32.

    Attributes:
        case_id, eager_id: Ids of the two cases.
        runtime: Runtime of the case `case_id`.
        pixels: Pixels compared, over all images; 0 where predictions of either are missing.
        changed: Share of them with another class; None without pixels.
        worst_image, worst_changed: The image with the largest share, if any pixel differs.
        same_pixels: True if `changed` is within `TOLERANCE`; None without pixels and in other arithmetic than fp32,
            for which no tolerance of pixels is set.
        score_change: Headline score minus that of the eager case; None without either.
        kept_score: True if `KEPT_SCORE` of the eager score remains; None without either.
        exported_bytes, export_s: Size of the exported model, and how long building it with its export took; None for
            runtimes that export nothing.
        latency_ratio, latency_low, latency_high: End-to-end median over the eager one's, with a 95 %
            interval; None until both are timed.
    """

    case_id: str
    eager_id: str
    runtime: str
    pixels: int = 0
    changed: float | None = None
    worst_image: str | None = None
    worst_changed: float | None = None
    same_pixels: bool | None = None
    score_change: float | None = None
    kept_score: bool | None = None
    exported_bytes: int | None = None
    export_s: float | None = None
    latency_ratio: float | None = None
    latency_low: float | None = None
    latency_high: float | None = None

    @property
    def parity(self) -> bool | None:
        """Return whether it is the same network as far as can be told; None where nothing could be compared."""
        told = [one for one in (self.same_pixels, self.kept_score) if one is not None]
        return all(told) if told else None


def compare_runtimes(run: RunView, timed: Mapping[str, TimedCase]) -> tuple[RuntimeComparison, ...]:
    """Compare every case with its eager twin, in the order of the run.

    Args:
        run: The run, with the scores that are current.
        timed: Timing of each case, by case id; may be empty.
    """
    eager = {
        _but_for_runtime(view.case): view
        for view in run.cases
        if view.case.target.runtime == "eager" and view.case.target.precision != "int8"
    }
    pairs = [(view, eager.get(_but_for_runtime(view.case))) for view in run.cases]
    return tuple(
        _against_twin(run, view, twin, timed)
        for view, twin in pairs
        if view.case.target.runtime != "eager" and twin is not None
    )


def _but_for_runtime(case: Case) -> str:
    """A text that is equal for twins."""
    precision = "fp32" if case.target.precision == "int8" else case.target.precision
    target = case.target.model_copy(update={"runtime": "eager", "precision": precision})
    return case.model_copy(update={"id": "", "target": target}).to_json()


def _against_twin(run: RunView, view: CaseView, eager: CaseView, timed: Mapping[str, TimedCase]) -> RuntimeComparison:
    comparison = RuntimeComparison(case_id=view.case.id, eager_id=eager.case.id, runtime=view.case.target.runtime)
    jobs = [job for job in (view.predict, eager.predict) if job is not None and job.ok]
    changes = changed_pixels(*jobs) if len(jobs) == 2 else {}
    update: dict[str, object] = {**_scores(run, view, eager), **_export(view)}
    if changes:
        pixels, changed = (sum(counts[i] for counts in changes.values()) for i in (0, 1))
        worst = max(changes, key=lambda image_id: changes[image_id][1] / changes[image_id][0])
        share = changed / pixels
        update |= {"pixels": pixels, "changed": share}
        if view.case.target.precision == "fp32":
            update["same_pixels"] = share <= TOLERANCE
        if changed:
            update |= {"worst_image": worst, "worst_changed": changes[worst][1] / changes[worst][0]}
    processes = [timed[one.case.id].processes for one in (view, eager) if one.case.id in timed]
    if len(processes) == 2 and all(processes):
        ratio = latency_ratio(*processes)
        update |= {"latency_ratio": ratio.ratio, "latency_low": ratio.low, "latency_high": ratio.high}
    return comparison.model_copy(update=update)


def _scores(run: RunView, view: CaseView, eager: CaseView) -> dict[str, object]:
    """Fields that compare the headline scores; none without both."""
    own, twin = (None if one.headline is None else one.headline.value for one in (view, eager))
    if own is None or twin is None:
        return {}
    higher_is_better = load_metric(run.plan.metrics[0]).higher_is_better
    kept = own >= KEPT_SCORE * twin if higher_is_better else KEPT_SCORE * own <= twin
    return {"score_change": own - twin, "kept_score": kept}


def _export(view: CaseView) -> dict[str, object]:
    """Fields of what was exported; none where nothing was."""
    if view.export is None or view.export.outcome is None or not view.export.ok:
        return {}
    facts = view.export.outcome.facts
    return {"exported_bytes": facts.exported_bytes, "export_s": facts.export_s}
