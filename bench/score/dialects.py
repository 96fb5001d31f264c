"""Computes what other libraries would print for the same predictions, from the stored counts, and says why it differs.

Each number is the library's own formula, transcribed; `tests/bench/score/test_dialects.py` holds those of libraries
that can be installed beside us against the libraries themselves.

Sources: mmsegmentation 1.2.2 `evaluation/metrics/iou_metric.py`; detectron2 0.6 `evaluation/sem_seg_evaluation.py`;
torchmetrics 1.x `functional/classification/jaccard.py`; scikit-learn 1.x `metrics/_classification.py`; ultralytics 8
`utils/metrics.py`; cocoapi `PythonAPI/pycocotools/cocoeval.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics import class_dice, class_iou, class_recall, class_totals, defined, mask_ap, mean_of_defined, ratio
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics


@dataclass(frozen=True)
class Dialect:
    """A number as a library prints it.

    Attributes:
        quantity: The library's name of the number.
        value: The number, on the scale that the library prints; None where it would be undefined or `nan`.
        why: Explanation of how it is computed, as far as that differs from ours.
    """

    library: str
    quantity: str
    value: float | None
    why: str


def dialects(statistics: Statistics, classes: Sequence[ClassSpec]) -> list[Dialect]:
    """Return what libraries would print, from the statistics of a case; nothing where none of theirs are stored."""
    found: list[Dialect] = []
    counts = statistics.arrays.get(CONFUSION)
    if counts is not None and counts.ndim == 3 and len(counts):
        found += _semantic(counts)
    rows = statistics.arrays.get(mask_ap.METRIC.statistic)
    if rows is not None and len(rows):
        found += _instances(rows, classes)
    return found


def _semantic(counts: NDArray[np.int64]) -> list[Dialect]:
    """Return the dialects of confusion counts, (N, K, K + 1); the last column holds predictions that name no class."""
    images = class_totals(counts)
    pooled = images.pooled()
    iou, dice, recall = class_iou(pooled), class_dice(pooled), class_recall(pooled)
    present = pooled.target > 0
    mean_iou, iou_in_target = mean_of_defined(iou), mean_of_defined(iou[present])
    mean_recall = mean_of_defined(recall)  # undefined where a class is not in the ground truth
    accuracy = ratio(pooled.true_positives.sum(), counts.sum())
    weighted = (np.nan_to_num(iou) * (pooled.target / max(1, pooled.target.sum()))).sum()
    micro = pooled.true_positives.sum() / max(1.0, pooled.union.sum())
    of_images = mean_of_defined(mean_of_defined(class_iou(images)))
    in_target = "over classes that are in the ground truth, so that a class invented by the model costs nothing"
    in_union = "over classes that are in the ground truth or predicted, as ours"
    recall_in_target = "recall over classes that are in the ground truth, in percent"
    of_each_image = "mean over the classes of each image, then over images; ours pools pixels over images"
    as_one = "over labels that are in either map, as ours, all pixels of all images as one array"
    macro = f"{in_union}; an absent class is left out since version 1.0"
    rows = [
        ("mmsegmentation", "aAcc", 100 * accuracy, "share of right pixels, in percent"),
        ("mmsegmentation", "mIoU", 100 * mean_iou, f"{in_union}, in percent"),
        ("mmsegmentation", "mAcc", 100 * mean_recall, recall_in_target),
        ("mmsegmentation", "mDice", 100 * mean_of_defined(dice), "Dice over classes with a union, in percent"),
        ("Detectron2", "mIoU", 100 * iou_in_target, f"{in_target}, in percent"),
        ("Detectron2", "fwIoU", 100 * weighted, "classes weigh as often as they are true, in percent"),
        ("Detectron2", "mACC", 100 * mean_recall, "recall over classes in the ground truth"),
        ("Detectron2", "pACC", 100 * accuracy, "share of right pixels, in percent"),
        ("Ultralytics", "mIoU (semantic)", iou_in_target, in_target),
        ("torchmetrics", "JaccardIndex(average='macro')", mean_iou, macro),
        ("torchmetrics", "JaccardIndex(average='micro')", micro, "intersections over unions of all classes together"),
        ("torchmetrics", "MeanIoU, per image", of_images, of_each_image),
        ("scikit-learn", "jaccard_score(average='macro')", mean_iou, as_one),
        ("scikit-learn", "jaccard_score(average='weighted')", weighted, "classes weigh as often as they are true"),
        ("scikit-learn", "accuracy_score", accuracy, "share of right pixels"),
    ]
    return [Dialect(library, quantity, defined(value), why) for library, quantity, value, why in rows]


# --------------------------------------------------------------------------- instances


def _instances(rows: NDArray[np.float64], classes: Sequence[ClassSpec]) -> list[Dialect]:
    """Return the dialects of matches of masks, (rows, 8)."""
    score = mask_ap.METRIC.score(rows, classes, seed=0)
    theirs = _ultralytics(rows, classes)
    trapezoids = (
        "precision interpolated linearly and integrated by trapezoids, over classes in the ground truth; their own run "
        "compares masks at a quarter of the network's size and takes 300 detections, ours of each class at most 100"
    )
    return [
        Dialect("COCO API", "AP (segm)", score.value, "equal to ours"),
        Dialect("COCO API", "AP50 (segm)", score.parts.get("AP50"), "equal to ours"),
        Dialect("Detectron2", "AP (segm)", None if score.value is None else 100 * score.value, "COCO's, in percent"),
        Dialect("torchmetrics", "MeanAveragePrecision map", score.value, "as COCO, to 4e-4"),
        Dialect("Ultralytics", "mAP50-95(M)", theirs(slice(None)), trapezoids),
        Dialect("Ultralytics", "mAP50(M)", theirs(slice(0, 1)), trapezoids),
    ]


def _ultralytics(rows: NDArray[np.float64], classes: Sequence[ClassSpec]) -> Callable[[slice], float | None]:
    """AP by `compute_ap` of Ultralytics, as a function of which IoU thresholds are averaged."""
    kind, class_id, score, matched, ignored = (rows[:, column] for column in (1, 2, 3, 6, 7))
    of_class = []
    for label in range(len(classes)):
        objects = int(((kind == 1) & (class_id == label) & (ignored == 0)).sum())
        if not objects:
            continue
        found = (kind == 2) & (class_id == label)
        order = np.argsort(-score[found], kind="stable")
        bits = matched[found][order].astype(np.int64)[:, None] >> np.arange(10) & 1  # (D, 10)
        true_positives, misses = bits.cumsum(axis=0), (1 - bits).cumsum(axis=0)
        recall, precision = true_positives / objects, true_positives / np.maximum(1, true_positives + misses)
        of_class.append([_area(recall[:, t], precision[:, t]) for t in range(10)])
    values = np.array(of_class)
    return lambda chosen: float(values[:, chosen].mean()) if len(values) else None


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    if not len(recall):
        return 0.0
    x = np.linspace(0, 1, 101)
    envelope = np.flip(np.maximum.accumulate(np.flip(np.concatenate([[1.0], precision, [0.0]]))))
    y = np.interp(x, np.concatenate([[0.0], recall, [1.0]]), envelope)
    return float((((y[1:] + y[:-1]) / 2) * np.diff(x)).sum())
