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

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metric import Rows
from bench.records import ClassSpec
from bench.records.compiled import compiled
from bench.records.predictions import Instances, Prediction

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Pixels of the original image, both ends included."""

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
    if not isinstance(target, Instances) or not isinstance(predicted, Instances):
        raise ShapeError(
            f"an instance metric compares two Instances, not {type(target).__name__} and {type(predicted).__name__}"
        )
    if target.size != predicted.size:
        raise ShapeError(
            f"the target has size {tuple(target.size)} and the prediction {tuple(predicted.size)}; "
            "predictions must have the original image size. See adapters/README.md, rule 4."
        )
    labels, count = predicted.class_ids, len(classes)
    if len(labels) and labels.min() >= 0 and labels.max() < count and all(spec.is_thing for spec in classes):
        return target, predicted
    for label in np.unique(labels).tolist():
        if not 0 <= label < len(classes):
            raise ShapeError(f"an instance of class id {label} is predicted; valid ids are 0..{len(classes) - 1}")
        if not classes[label].is_thing:
            raise ShapeError(
                f"an instance of class {classes[label].name!r} is predicted, which is stuff; only things have instances"
            )
    return target, predicted


class Detections(NamedTuple):
    """The detections of an image that count, by class and then by falling score.

    Attributes:
        indices: Their places in the prediction, int64, (D,).
        ranks: Place within their class, int64, (D,).
    """

    indices: NDArray[np.int64]
    ranks: NDArray[np.int64]


def ranked(predicted: Instances, most: int = MAX_DETECTIONS) -> Detections:
    """Order detections as pycocotools does, equal scores as they came in; the first `most` of a class count."""
    order = np.lexsort((-predicted.scores, predicted.class_ids))  # stable
    class_ids = predicted.class_ids[order]
    starts = np.searchsorted(class_ids, class_ids, side="left")
    ranks = np.arange(len(order)) - starts
    counted = ranks < most
    return Detections(order[counted], ranks[counted])


def match_rows(
    target: Instances,
    predicted: Instances,
    found: Detections,
    ious: NDArray[np.float64],
    areas: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    left_out: int,
) -> Rows:
    """Match the detections of one image and return its rows.

    Args:
        target, predicted: Ground truth and detections; their classes, scores and crowds are read.
        found: The detections that count, from `ranked`.
        ious: Intersection over union of all detections with ground truth of their class, shape (D, G).
        areas: Pixels of each ground truth, as its annotation says or else of its mask, and of each detection.
        left_out: Detections of the image that do not count, since there are surer ones.
    """
    true_area, area = areas[0], areas[1][found.indices]
    class_ids = predicted.class_ids[found.indices]
    matched, ignored = (np.zeros(len(class_ids), dtype=np.int64) for _ in range(2))
    if len(class_ids):
        ranges = np.array(list(AREA_RANGES.values()))
        crowd, own_ious = np.ascontiguousarray(target.crowd), np.ascontiguousarray(ious[found.indices])
        _match_kernel()(
            own_ious, class_ids, area, target.class_ids, true_area, crowd, ranges, IOU_THRESHOLDS,
            matched, ignored,
        )  # fmt: skip
    if target.unchecked:  # LVIS's federated rule
        free = np.isin(class_ids, target.unchecked)
        ignored[free] |= ~matched[free] & EVERY_BIT
    table = np.zeros((1 + len(true_area) + len(area), len(COLUMNS)))
    table[0, LEFT_OUT - 1] = left_out  # stored rows have a column more, in front
    ground_truths, detections = table[1 : 1 + len(true_area)], table[1 + len(true_area) :]
    # Stored columns have the number of the image before them.
    for column, values in ((KIND, GROUND_TRUTH), (CLASS, target.class_ids), (AREA, true_area), (IGNORED, target.crowd)):
        ground_truths[:, column - 1] = values
    for column, values in (
        (KIND, DETECTION), (CLASS, class_ids), (SCORE, predicted.scores[found.indices]), (RANK, found.ranks),
        (AREA, area), (MATCHED, matched), (IGNORED, ignored),
    ):  # fmt: skip
        detections[:, column - 1] = values
    return Rows(table)


@lru_cache(maxsize=1)
def _match_kernel() -> Callable[..., None]:
    import numba

    array = numba.types.Array
    integers, floats = array(numba.int64, 1, "C", readonly=True), array(numba.float64, 1, "C", readonly=True)
    flags, table = array(numba.boolean, 1, "C", readonly=True), array(numba.float64, 2, "C", readonly=True)
    out = numba.int64[::1]
    signature = numba.void(table, integers, floats, integers, floats, flags, table, floats, out, out)
    return compiled(_match, signature)


def _match(
    ious: NDArray[np.float64],
    class_ids: NDArray[np.int64],
    area: NDArray[np.float64],
    true_class: NDArray[np.int64],
    true_area: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    ranges: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    matched: NDArray[np.int64],
    ignored: NDArray[np.int64],
) -> None:
    """Greedy matching by falling score, each threshold and range of areas for itself; compiled."""
    ground_truths = len(true_class)
    for r in range(len(ranges)):
        low, high = ranges[r, 0], ranges[r, 1]
        for t in range(len(thresholds)):
            bit = np.int64(1) << np.int64(10 * r + t)
            taken = np.zeros(ground_truths, dtype=np.bool_)
            for d in range(len(class_ids)):
                best = -1
                best_iou = min(thresholds[t], 1 - 1e-10)
                # Ground truth that are ignored come last: they are only tried where no other one fits.
                for ignore in range(2):
                    if best >= 0:
                        break
                    for g in range(ground_truths):
                        if true_class[g] != class_ids[d] or (taken[g] and not crowd[g]):
                            continue
                        out = crowd[g] or true_area[g] < low or true_area[g] > high
                        if out != (ignore == 1) or ious[d, g] < best_iou:
                            continue
                        best, best_iou = g, ious[d, g]
                if best >= 0:
                    taken[best] = True
                    matched[d] |= bit
                    if crowd[best] or true_area[best] < low or true_area[best] > high:
                        ignored[d] |= bit
                elif area[d] < low or area[d] > high:
                    ignored[d] |= bit


def check_columns(rows: NDArray[np.float64]) -> None:
    """Raise `ShapeError` if stored rows are not those of this version."""
    if rows.ndim != 2 or rows.shape[1] != 1 + len(COLUMNS):
        raise ShapeError(
            f"the stored matches have shape {rows.shape}; (rows, {1 + len(COLUMNS)}) are expected. Score the run again "
            "with bench score RUN"
        )
