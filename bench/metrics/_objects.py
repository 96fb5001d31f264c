"""Holds what the metrics of single objects share: one-to-one matching by IoU, and sums over the objects of an image.

Objects of one class are matched in the order of falling intersection over union, each at most once. Pairs up to a
threshold do not depend on those below it, so one matching serves all thresholds; above one half, and for objects that
do not overlap one another, no other matching has more pairs. Detections count from a score of 0.5, as they are
painted. A crowd is no object: a detection that lies to more than half in a crowd of its class is left out, unless it
matches an object with an IoU of at least one half.

A row per image (so that images without objects count), per true object and per detection:

    kind, class, area, score, iou, covered_iou, shared, union

`iou` is that with the match, 0 without one; `score` that of the detection, or of a true object's match.
`covered_iou` is the IoU of a true object with the detection that covers more than half of it, else 0. `shared` and
`union` are, of a true object, pixels shared with and united with the detection of the highest IoU; of a detection that
is no true object's, 0 and its area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import ClassFormula, Sums, SumsMetric
from bench.metrics._masks import intersections, stacks
from bench.metrics._matching import AREA_RANGES, IOU_THRESHOLDS, as_instances
from bench.metrics._pooled import require_columns, side_by_side
from bench.records import ClassSpec
from bench.records.predictions import INSTANCE_SCORE, Prediction

IMAGE, TRUTH, DETECTION = 0.0, 1.0, 2.0
COLUMNS = ("kind", "class", "area", "score", "iou", "covered_iou", "shared", "union")
NUMBER, KIND, CLASS, AREA, SCORE, IOU, COVERED_IOU, SHARED, UNION = range(1 + len(COLUMNS))
"""Columns of stored rows; the first is the number of the image."""

SIZES = ("small", "medium", "large")
"""Ranges of areas of COCO, in pixels of the original image; a true object is in exactly one."""

T = len(IOU_THRESHOLDS)
MATCHED = slice(0, T)
TRUE, SEEN, COVERED, SHARED_SUM, UNION_SUM = range(T, T + 5)
TRUE_BY_SIZE, MATCHED_BY_SIZE = slice(T + 5, T + 8), slice(T + 8, T + 11)
SUMS = T + 11
"""Columns of the sums over the objects of a class in an image."""


def match_objects(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """Match each true object with at most one detection, in the order of falling IoU.

    Args:
        ious: (detections, true objects); 0 where they are of different classes.

    Returns:
        Number of the detection of each true object, -1 without one, int64, (true objects,).
    """
    of_true = np.full(ious.shape[1], -1, dtype=np.int64)
    seen, true = np.nonzero(ious > 0)
    taken: set[int] = set()
    for pair in np.argsort(-ious[seen, true], kind="stable"):
        d, g = int(seen[pair]), int(true[pair])
        if of_true[g] < 0 and d not in taken:
            of_true[g] = d
            taken.add(d)
    return of_true


def object_rows(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
    """Match the objects of one image; see the module's docstring for the rows."""
    true, seen = as_instances(target, predicted, classes)
    kept, real = np.flatnonzero(seen.scores >= INSTANCE_SCORE), np.flatnonzero(~true.crowd)
    true_stack, stack = stacks(true, seen.chosen(kept))
    class_ids, scores = seen.class_ids[kept], seen.scores[kept]
    same = class_ids[:, None] == true.class_ids[None]
    shared = intersections(stack, true_stack, same)
    in_crowd = ratio(shared[:, true.crowd], stack.areas[:, None])
    shared, true_area, area = shared[:, real], true_stack.areas[real], stack.areas
    union = area[:, None] + true_area[None] - shared
    ious = np.where(shared > 0, shared / np.maximum(union, 1), 0.0)
    of_true = match_objects(ious)
    found = of_true >= 0
    true_iou, true_score, of_detection = np.zeros(len(real)), np.zeros(len(real)), np.zeros(len(kept))
    true_iou[found] = ious[of_true[found], np.flatnonzero(found)]
    true_score[found] = scores[of_true[found]]
    of_detection[of_true[found]] = true_iou[found]
    counts = (of_detection >= 0.5) | ~(in_crowd > 0.5).any(axis=1)
    best = _best(ious, shared, union, true_area)
    ground_truths = side_by_side(
        TRUTH, true.class_ids[real], true_area, true_score, true_iou,
        _covered(ious, shared, true_area), best.shared, best.union,
    )  # fmt: skip
    unused = np.where(np.isin(np.arange(len(kept)), best.used), 0, area)
    detections = side_by_side(DETECTION, class_ids, area, scores, of_detection, 0, 0, unused)[counts]
    return Rows(np.concatenate([np.zeros((1, len(COLUMNS))), ground_truths, detections]))


@dataclass(frozen=True)
class _Best:
    """Pixels shared and united of each true object and the detection with the highest IoU, and which these are."""

    shared: NDArray[np.int64]
    union: NDArray[np.int64]
    used: NDArray[np.int64]


def _best(
    ious: NDArray[np.float64], shared: NDArray[np.int64], union: NDArray[np.int64], true_area: NDArray[np.int64]
) -> _Best:
    if not ious.size:
        return _Best(np.zeros_like(true_area), true_area, np.empty(0, dtype=np.int64))
    every = np.arange(len(true_area))
    best = ious.argmax(axis=0)
    found = ious[best, every] > 0
    return _Best(np.where(found, shared[best, every], 0), np.where(found, union[best, every], true_area), best[found])


def _covered(ious: NDArray[np.float64], shared: NDArray[np.int64], true_area: NDArray[np.int64]) -> NDArray[np.float64]:
    """The highest IoU of each true object with a detection that covers more than half of it, 0 without one."""
    return np.asarray(np.where(2 * shared > true_area[None], ious, 0.0).max(axis=0, initial=0.0))


# --------------------------------------------------------------------------- from rows to sums


def sums_of(rows: NDArray[np.float64], num_classes: int) -> Sums:
    """Add up the objects of each image and class, shape (images, K, `SUMS`)."""
    require_columns(rows, 1 + len(COLUMNS))
    images = int(rows[-1, NUMBER]) + 1 if len(rows) else 0
    sums = np.zeros((images, num_classes, SUMS))
    ground_truths, detections = rows[rows[:, KIND] == TRUTH], rows[rows[:, KIND] == DETECTION]
    if len(ground_truths) or len(detections):
        at = [(one[:, NUMBER].astype(np.int64), one[:, CLASS].astype(np.int64)) for one in (ground_truths, detections)]
        true_positives = ground_truths[:, IOU, None] >= IOU_THRESHOLDS - 1e-12
        sized = np.stack([in_range(ground_truths[:, AREA], name) for name in SIZES], axis=1)
        columns = [
            *true_positives.T, np.ones(len(ground_truths)), np.zeros(len(ground_truths)),
            ground_truths[:, COVERED_IOU], ground_truths[:, SHARED], ground_truths[:, UNION],
            *sized.T, *(sized & true_positives[:, :1]).T,
        ]  # fmt: skip
        np.add.at(sums, at[0], np.stack(columns, axis=1).astype(np.float64))
        seen = np.zeros((len(detections), SUMS))
        seen[:, SEEN], seen[:, UNION_SUM] = 1.0, detections[:, UNION]
        np.add.at(sums, at[1], seen)
    return sums


def in_range(areas: NDArray[np.float64], name: str) -> NDArray[np.bool_]:
    """Return which areas are of a size, from its lower end on and below the upper one."""
    low, high = AREA_RANGES[name]
    return np.asarray((areas >= low) & (areas < high))


def f1_at(threshold: int) -> ClassFormula:
    """Return F1 at a threshold of `IOU_THRESHOLDS`, by its number."""
    return lambda sums: ratio(2 * sums[..., threshold], sums[..., TRUE] + sums[..., SEEN])


object_metric = partial(
    SumsMetric,
    statistic="objects",
    observed=object_rows,
    columns=SUMS,
    undefined_because="no image holds a true or a predicted object",
    summed=sums_of,
    counts={"true": TRUE, "predicted": SEEN, "matched": 0},
    tasks=("instance",),
)
"""Makes a metric of matched objects: a formula of the sums over them."""
