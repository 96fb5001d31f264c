"""COCO's matching of detections with the ground truth of one image.

The rules are pycocotools' to the letter (`cocoeval.py` at 8c9bcc3). Matching is done image by image
and stored as rows, so that precision, its intervals and comparisons are computed without the masks.

A row per image (so that images without objects count), per ground truth and per detection:

    kind, class, score, rank, area, matched, ignored

`rank` is the place of a detection by score within its image and class, and in the row of an image the
number of its detections that the cap left out. `matched` and `ignored` hold a bit for each of ten IoU
thresholds and four ranges of areas (bit 10 * range + threshold); of a ground truth, `ignored` says
whether it is a crowd.

Source: Lin et al., Microsoft COCO, ECCV 2014; cocodataset/cocoapi, `PythonAPI/pycocotools/cocoeval.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metric import Rows
from bench.metrics._pooled import both_of
from bench.records import ClassSpec
from bench.records.compiled import compiled, given
from bench.records.predictions import Instances, Prediction

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Pixels of the original image, both ends included."""
RANGES = np.array(list(AREA_RANGES.values()))

MAX_DETECTIONS = 100
"""Most detections that count per image and class, the surest ones."""

EVERY_BIT = (1 << (len(IOU_THRESHOLDS) * len(AREA_RANGES))) - 1
IMAGE, GROUND_TRUTH, DETECTION = 0.0, 1.0, 2.0
COLUMNS = ("kind", "class", "score", "rank", "area", "matched", "ignored")
NUMBER, KIND, CLASS, SCORE, RANK, AREA, MATCHED, IGNORED = range(1 + len(COLUMNS))
LEFT_OUT = RANK
"""Columns of stored rows; the first is the number of the image. `LEFT_OUT` is that of an image's own row."""


def as_instances(
    target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]
) -> tuple[Instances, Instances]:
    """Return both as instances (ground truth first).

    Raises:
        ShapeError: For another form or size, or a prediction of a class that has no instances.
    """
    true, seen = both_of(Instances, "an instance metric compares two Instances", target, predicted)
    for label in sorted({*seen.class_ids.tolist()}):
        if not 0 <= label < len(classes):
            raise ShapeError(f"an instance of class id {label} is predicted; valid ids are 0..{len(classes) - 1}")
        if not classes[label].is_thing:
            raise ShapeError(
                f"an instance of class {classes[label].name!r} is predicted, which is stuff; only things have instances"
            )
    return true, seen


def match_rows(
    target: Instances,
    predicted: Instances,
    ious: NDArray[np.float64],
    areas: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    most: int = MAX_DETECTIONS,
) -> Rows:
    """Match the detections of one image and return its rows.

    Detections are ordered as pycocotools does, equal scores as they came in; the first `most` of a class count.

    Args:
        target, predicted: Ground truth and detections; their classes, scores and crowds are read.
        ious: Intersection over union of all detections with ground truth of their class, shape (D, G).
        areas: Pixels of each ground truth, as its annotation says or else of its mask, and of each detection.
        most: Detections of a class that count.
    """
    order = np.lexsort((-predicted.scores, predicted.class_ids))  # stable
    detections = np.empty((len(order), 3))
    detections[:, 0], detections[:, 1], detections[:, 2] = predicted.class_ids, predicted.scores, areas[1]
    ground_truths = np.empty((len(areas[0]), 3))
    ground_truths[:, 0], ground_truths[:, 1], ground_truths[:, 2] = target.class_ids, areas[0], target.crowd
    table = np.zeros((1 + len(ground_truths) + len(detections), len(COLUMNS)))
    counted = _match(order, ious, detections, ground_truths, RANGES, IOU_THRESHOLDS, most, table)
    rows: NDArray[np.float64] = table[:counted]
    if target.unchecked:  # LVIS's federated rule
        seen = rows[1 + len(ground_truths) :]
        free = np.isin(seen[:, CLASS - 1].astype(np.int64), target.unchecked)
        matched, ignored = (seen[:, column - 1].astype(np.int64) for column in (MATCHED, IGNORED))
        seen[:, IGNORED - 1] = np.where(free, ignored | (~matched & EVERY_BIT), ignored)
    return Rows(rows)


@compiled(
    f"int64({given('int64')}, {', '.join([given('float64', 2)] * 4)}, {given('float64')}, int64, float64[:, ::1])"
)
def _match(
    order: NDArray[np.int64],
    ious: NDArray[np.float64],
    detections: NDArray[np.float64],
    ground_truths: NDArray[np.float64],
    ranges: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    most: int,
    table: NDArray[np.float64],
) -> int:
    """Greedy matching by falling score, each threshold and range of areas for itself; the rows used; compiled."""
    count, lowest = len(ground_truths), min(thresholds.min(), 1 - 1e-10)
    taken, near = np.zeros(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    for g in range(count):
        row, one = table[1 + g], ground_truths[g]
        row[KIND - 1], row[CLASS - 1], row[AREA - 1], row[IGNORED - 1] = GROUND_TRUTH, one[0], one[1], one[2]
    used, rank, previous = 1 + count, 0, -1.0
    for d in order:
        class_id, score, area = detections[d, 0], detections[d, 1], detections[d, 2]
        rank, previous = rank + 1 if class_id == previous else 0, class_id
        if rank >= most:
            table[0, LEFT_OUT - 1] += 1
            continue
        fitting = 0
        for g in range(count):
            if ground_truths[g, 0] == class_id and ious[d, g] >= lowest:
                near[fitting] = g
                fitting += 1
        matched = ignored = np.int64(0)
        for r in range(len(ranges)):
            low, high = ranges[r, 0], ranges[r, 1]
            for t in range(len(thresholds)):
                bit = np.int64(1) << np.int64(len(thresholds) * r + t)
                best, best_iou = -1, min(thresholds[t], 1 - 1e-10)
                # Ground truth that are ignored come last: they are only tried where no other one fits.
                for ignore in range(2):
                    if best >= 0:
                        break
                    for k in range(fitting):
                        g = near[k]
                        crowd = ground_truths[g, 2] != 0
                        if (taken[g] & bit and not crowd) or ious[d, g] < best_iou:
                            continue
                        out = crowd or ground_truths[g, 1] < low or ground_truths[g, 1] > high
                        if out == (ignore == 1):
                            best, best_iou = g, ious[d, g]
                if best >= 0:
                    taken[best] |= bit
                    matched |= bit
                    if ground_truths[best, 2] != 0 or ground_truths[best, 1] < low or ground_truths[best, 1] > high:
                        ignored |= bit
                elif area < low or area > high:
                    ignored |= bit
        row = table[used]
        row[KIND - 1], row[CLASS - 1], row[SCORE - 1], row[RANK - 1] = DETECTION, class_id, score, rank
        row[AREA - 1], row[MATCHED - 1], row[IGNORED - 1] = area, matched, ignored
        used += 1
    return used


def check_columns(rows: NDArray[np.float64]) -> None:
    """Raise `ShapeError` if stored rows are not those of this version."""
    if rows.ndim != 2 or rows.shape[1] != 1 + len(COLUMNS):
        raise ShapeError(
            f"the stored matches have shape {rows.shape}; (rows, {1 + len(COLUMNS)}) are expected. Score the run again "
            "with bench score RUN"
        )
