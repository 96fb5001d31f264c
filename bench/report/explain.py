"""`bench explain`: a paragraph a model, of where its time goes, where its errors lie, and what would help."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.metric import load_metric
from bench.metrics.boundary_iou import boundary_width, class_boundaries
from bench.records import Size, void_of
from bench.report.draw.numbers import significant, with_interval
from bench.report.draw.tiles import predicted_tile, score_to_draw
from bench.report.facts import Facts
from bench.report.summary.per_image import CaseImages, largest
from bench.report.summary.rows import Row, value_of
from bench.report.tables import headline_cell

MOST_IMAGES = 40
"""Images whose wrong pixels are looked at, evenly spread over the split."""

LAUNCH_BOUND = 1.2
"""Time of a pass over the time that the device works in it, from which the host is said to set the pace."""

STILL_RISING = 0.02
"""Gain of a validated score in the last quarter of the budget from which a longer one is worth trying."""


@dataclass(frozen=True)
class Explanation:
    """Explanation of one row: its name, what was found, and what to try."""

    name: str
    found: tuple[str, ...]
    advice: tuple[str, ...]


def explain(facts: Facts, cases: Collection[str] | None = None) -> list[Explanation]:
    """Explain rows of a run, in its order; what is not measured yet is not spoken of.

    Args:
        facts: Facts of the run.
        cases: Ids of the cases to explain; None explains all.
    """
    return [_explained(facts, row) for row in facts.summary.rows if cases is None or row.case_id in cases]


def as_text(explanations: Sequence[Explanation]) -> str:
    """Return explanations as paragraphs for a terminal."""
    return "\n\n".join(
        "\n".join([one.name, f"  {' '.join(one.found)}", *(f"  To try: {line}" for line in one.advice)])
        for one in explanations
    )


def _explained(facts: Facts, row: Row) -> Explanation:
    case = next((one for one in facts.images if one.case_id == row.case_id), None)
    rims = _share_at_rims(case) if case is not None else None
    found = [*_score(facts, row), *_time(row), *_slow_images(case), *_confusions(facts, row), *_rims(rims)]
    found += [*_weak_places(facts, row), *_failed(facts, row)]
    return Explanation(
        facts.name_of[row.case_id], tuple(found) or ("Nothing about it is measured yet.",), tuple(_advice(row, rims))
    )


def _score(facts: Facts, row: Row) -> Iterator[str]:
    summary, score = facts.summary, row.headline
    if score is None or score.value is None:
        return
    others = [
        value_of(r) for r in summary.rows if r.dataset == row.dataset and r.headline and r.headline.value is not None
    ]
    sign = 1 if summary.higher_is_better else -1
    rank = 1 + sum(sign * (other - score.value) > 0 for other in others)
    text = f"{summary.headline} {headline_cell(row)}, rank {rank} of {len(others)}"
    against = next((c for c in summary.comparisons if c.other == row.case_id), None)
    if against is not None and against.significant is not None:
        told = "significantly behind" if against.significant else "not distinguishable from the best,"
        text += f", {told} {facts.name_of[against.best]}"
    yield f"{text}."


def _time(row: Row) -> Iterator[str]:
    latency = row.latency
    if latency is None:
        return
    median = row.timing()
    if median is not None and median.ms_per_image is not None:
        text = f"An image takes {significant(median.ms_per_image)} ms end to end at the median"
        tail = max((t for t in latency.end_to_end if t.ms_per_image is not None), key=lambda t: t.percentile)
        if tail.percentile > 50 and tail.ms_per_image is not None:
            text += f" and {tail.ms_per_image / median.ms_per_image:.2f} times that at p{tail.percentile:g}"
        yield f"{text}."
    known = {stage: t.ms_per_image for stage, t in latency.stages.items() if t.ms_per_image}
    total = sum(known.values())
    if total:
        shares = ", ".join(f"{stage} {100 * ms / total:.0f} %" for stage, ms in known.items())
        yield f"Of the staged time: {shares}."
    busy = row.profile.device_busy if row.profile is not None else None
    if busy is not None:
        state = "launch-bound: the device waits for the host" if _launch_bound(row) else "not launch-bound"
        yield f"It is {state} (index {busy.launch_bound_index:.2f})."
    if row.verdict is not None and row.verdict.reasons:
        yield f"Its timing is {row.verdict.state}: {', '.join(reason.name for reason in row.verdict.reasons)}."


def _launch_bound(row: Row) -> bool:
    busy = row.profile.device_busy if row.profile is not None else None
    return busy is not None and busy.launch_bound_index > LAUNCH_BOUND


def _slow_images(case: CaseImages | None) -> Iterator[str]:
    known = case.latency_ms[np.isfinite(case.latency_ms)] if case is not None else np.empty(0)
    if case is None or known.size < 3:
        return
    median = float(np.median(known))
    order = largest(case.latency_ms, 3)
    told = ", ".join(f"{case.image_ids[i]} ({significant(float(case.latency_ms[i]))} ms)" for i in order)
    ratio = float(case.latency_ms[order[0]]) / median
    if ratio > 1.1:
        yield f"Its slowest images are {told}, up to {ratio:.2f} times the median image."
    else:
        yield "No image takes more than 1.1 times as long as the median one."


def _confusions(facts: Facts, row: Row) -> Iterator[str]:
    table = next((one for one in facts.confusions if one.case_id == row.case_id), None)
    if table is not None and table.pairs:
        told = "; ".join(f"{p.true} for {p.predicted} ({100 * p.share:.1f} % of its pixels)" for p in table.pairs[:3])
        yield f"It most often mistakes {told}."


def _rims(share: float | None) -> Iterator[str]:
    if share is None:
        return
    kind = "mostly boundary" if share > 0.6 else "mostly extent: whole regions are wrong" if share < 0.4 else "both"
    yield f"{100 * share:.0f} % of its wrong pixels lie at outlines of ground truth or prediction ({kind})."


def _weak_places(facts: Facts, row: Row) -> Iterator[str]:
    if row.headline is not None:
        known = {name: value for name, value in row.headline.per_class.items() if value is not None}
        if len(known) > 1:
            name = (min if facts.summary.higher_is_better else max)(known, key=lambda one: known[one])
            yield f"Its weakest class is {name} ({known[name]:.3f})."
    worst = next((w for t in facts.summary.slices for w in t.worst if w.case_id == row.case_id), None)
    if worst is not None:
        value = with_interval(worst.value, worst.low, worst.high, default=3)
        yield f"Its worst slice is {worst.by} {worst.name}: {value} on {worst.images} images."


def _failed(facts: Facts, row: Row) -> Iterator[str]:
    for failure in facts.summary.failures:
        if failure.case_id == row.case_id:
            yield f"Its {failure.kind} job ended as {failure.status}: {' '.join(failure.reason.split())}"


def _advice(row: Row, rims: float | None) -> Iterator[str]:
    """Yield what the measurements suggest to try, each with its reason; nothing is promised."""
    latency = row.latency
    stages = {stage: t.ms_per_image or 0.0 for stage, t in latency.stages.items()} if latency else {}
    total = sum(stages.values())
    if _launch_bound(row):
        yield "a larger batch, or runtime cuda_graphs or compile, since the device waits for the host."
    around = total - stages.get("infer", 0.0)
    if total and around > 0.5 * total:
        slow = max((s for s in stages if s != "infer"), key=lambda s: stages[s])
        yield f"a faster {slow}, since the network itself takes {100 * stages['infer'] / total:.0f} % of the time."
    course = row.course
    if course is not None and course.final is not None and course.at_shares[2] is not None:
        gain = course.final - course.at_shares[2]
        if gain > STILL_RISING:
            yield f"a longer budget, since its {course.validated} still rose by {gain:.3f} in the last quarter of it."
    if rims is not None and rims > 0.6:
        yield "a larger image_size, or a loss that weighs boundaries, since most wrong pixels lie at outlines."
    elif rims is not None and rims < 0.4:
        yield "more or more varied training images, since whole regions are wrong rather than their outlines."
    values = [v for v in (row.headline.per_class.values() if row.headline else ()) if v is not None]
    if row.recipe is not None and not row.recipe.class_balanced and len(values) > 2 and min(values) < 0.5 * max(values):
        yield "class_balanced: true in the recipe, since its weakest class has less than half of the best one's score."
    if row.verdict is not None and row.verdict.state != "valid":
        yield f"{row.verdict.reasons[0].advice}." if row.verdict.reasons[0].advice else "timing it again."


def _share_at_rims(case: CaseImages) -> float | None:
    """Share of wrong pixels at outlines, within half the width of Boundary IoU, over some images; None if not known."""
    view, metric = case.view, load_metric(next(iter(case.scores), "mean_iou"))
    if view.predict is None or not view.predict.ok or "semantic" not in metric.tasks:
        return None
    try:
        dataset = open_labelled(view.case.dataset)
        ids = case.image_ids[:: max(1, len(case.image_ids) // MOST_IMAGES)][:MOST_IMAGES]
        wrong_pixels, near = 0, 0
        for image_id in ids:
            tile = predicted_tile(view, image_id, dataset, score_to_draw(view))
            if tile is None:
                continue
            ground_truth = dataset.target(image_id).semantic.labels
            width = max(1, boundary_width(Size(*ground_truth.shape)) // 2)
            wrong = (ground_truth != void_of(ground_truth)) & (tile.labels != ground_truth)
            predicted = np.asarray(tile.labels, dtype=ground_truth.dtype)
            rims = _inner_rims(ground_truth, width) | _inner_rims(predicted, width)
            wrong_pixels += int(wrong.sum())
            near += int((wrong & rims).sum())
    except (BenchError, OSError, KeyError):
        return None
    return near / wrong_pixels if wrong_pixels else None


def _inner_rims(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels within a width of another class; the edge of the image is no outline here."""
    padded = cv2.copyMakeBorder(np.ascontiguousarray(labels), width, width, width, width, cv2.BORDER_REPLICATE)
    return class_boundaries(padded, width)[width:-width, width:-width]
