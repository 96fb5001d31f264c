"""COCO's matching of detections with the ground truth of one image.

The rules are pycocotools' to the letter (`cocoeval.py` at 8c9bcc3). Matching is done image by image
and stored as rows, so that precision, its intervals and comparisons are computed without the masks.

A row per image (so that images without objects count), per ground truth and per detection:

    kind, class, score, rank, area, matched, ignored

`rank` is the place of a detection by score within its image and class, and in the row of an image the
number of its detections that the cap left out. `matched` and `ignored` hold a bit for each of ten IoU
thresholds and four ranges of areas (bit 10 * range + threshold); of a ground truth, `ignored` says
whether it is a crowd.

Single images are listed by the F1 of their objects (van Rijsbergen, Information Retrieval, 1979, §7), since average
precision needs many images to mean much. COCO counts the 100 surest detections of an image and a class: where an image
holds more objects, as micrographs and crowds do, even a perfect detector cannot find them all, and the score does not
say so.

Source: Lin et al., Microsoft COCO, ECCV 2014; cocodataset/cocoapi, `PythonAPI/pycocotools/cocoeval.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metric import Rows
from bench.metrics._bootstrap import ratio
from bench.metrics._pooled import both_of
from bench.records import ClassSpec, Flag
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


# --------------------------------------------------------------------------- what rows tell beside precision

TRIED = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Scores that are tried by `best_threshold`: 0.05, 0.10, … 0.95."""


def best_threshold(rows: NDArray[np.float64]) -> float | None:
    """Return the score from which detections have the highest F1 at an IoU of 0.5, nearest to 0.5 of equals.

    Args:
        rows: Rows `mask_matches` of all images, shape (rows, 8).

    Returns:
        One of `TRIED`; None where no detection matches a ground truth.
    """
    kind, scores, matched, ignored = (rows[:, column] for column in (KIND, SCORE, MATCHED, IGNORED))
    wanted = int(((kind == GROUND_TRUTH) & (ignored == 0)).sum())
    counts = (kind == DETECTION) & (ignored.astype(np.int64) & 1 == 0)
    true_positive = counts & (matched.astype(np.int64) & 1 == 1)
    f1 = {
        tau: 2 * int((true_positive & (scores >= tau)).sum()) / max(1, int((counts & (scores >= tau)).sum()) + wanted)
        for tau in TRIED
    }
    best = max(TRIED, key=lambda tau: (f1[tau], -abs(tau - 0.5)))
    return best if f1[best] > 0 else None


def image_f1(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return F1 of each image at the model's `best_threshold`, (images,); nan without object and detection."""
    if not len(rows):
        return np.empty(0)
    numbers, kind = rows[:, NUMBER].astype(np.int64), rows[:, KIND]
    matched, ignored = rows[:, MATCHED].astype(np.int64) & 1, rows[:, IGNORED].astype(np.int64) & 1
    tau = best_threshold(rows)
    found = (kind == DETECTION) & (ignored == 0) & (rows[:, SCORE] >= (0.5 if tau is None else tau))
    objects = (kind == GROUND_TRUTH) & (rows[:, IGNORED] == 0)
    images = int(numbers.max()) + 1
    true_positives, detections, wanted = (
        np.bincount(numbers[chosen], minlength=images) for chosen in (found & (matched == 1), found, objects)
    )
    return ratio(2 * true_positives, detections + wanted)


def cap_flags(rows: NDArray[np.float64], *, name: str, most: int, of_all_classes: bool) -> tuple[Flag, ...]:
    """Say how many objects are beyond the cap, and how many detections it left out; nothing where none are.

    Args:
        rows: Rows of all images, shape (rows, 8).
        most: Detections that count, of an image and a class.
        of_all_classes: True if they are counted over all classes of an image.
    """
    counted = rows[(rows[:, KIND] == GROUND_TRUTH) & (rows[:, IGNORED] == 0)]
    places = counted[:, [NUMBER]] if of_all_classes else counted[:, [NUMBER, CLASS]]
    groups, objects = np.unique(places, axis=0, return_counts=True)
    crowded = len(np.unique(groups[objects > most, 0]))
    left_out = rows[rows[:, KIND] == IMAGE, LEFT_OUT]
    cut = int((left_out > 0).sum())
    if not crowded and not cut:
        return ()
    images, whole = len(left_out), "image" if of_all_classes else "image and class"
    said = [f"{name} counts the {most} surest detections of an {whole}"]
    if crowded:
        share = np.minimum(objects, most).sum() / objects.sum()
        of_a = "objects" if of_all_classes else "objects of a class"
        said.append(
            f"{crowded} of {images} images hold more {of_a} (up to {objects.max()}), so that at most {share:.1%} of "
            "all can be found"
        )
    if cut:
        said.append(f"{int(left_out.sum())} detections in {cut} of {images} images are left out")
    enough = max(int(objects.max()) if crowded else 0, most + int(left_out.max()) if cut else 0)
    return (
        Flag(
            name="max_detections",
            seen=f"{said[0]}: {', and '.join(said[1:])}",
            advice=f"to count more of them, score with metrics: [{{name: {name}, max_detections: {enough}}}], which is "
            f"called {name}_{enough} and is not comparable with published {name}",
        ),
    )
