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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics import mask_ap
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics


@dataclass(frozen=True)
class Dialect:
    """A number as a library prints it.

    Attributes:
        library: Its name.
        quantity: The library's name of the number.
        value: The number, on the scale that the library prints; None where it would be undefined or `nan`.
        why: Explanation of how it is computed, as far as that differs from ours.
    """

    library: str
    quantity: str
    value: float | None
    why: str


class _Totals(NamedTuple):
    """Pixels per class of all images, (K,); `scored` counts all of them."""

    true_positives: NDArray[np.float64]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    scored: float

    @property
    def union(self) -> NDArray[np.float64]:
        return self.true + self.predicted - self.true_positives


def dialects(statistics: Statistics, classes: Sequence[ClassSpec]) -> list[Dialect]:
    """Return what libraries would print, from the statistics of a case; nothing where none of theirs are stored."""
    found: list[Dialect] = []
    counts = statistics.arrays.get(CONFUSION)
    if counts is not None and counts.ndim == 3 and len(counts):
        found += _semantic(counts.astype(np.float64))
    rows = statistics.arrays.get(mask_ap.METRIC.statistic)
    if rows is not None and len(rows):
        found += _instances(rows, classes)
    return found


def _semantic(counts: NDArray[np.float64]) -> list[Dialect]:
    """Return the dialects of confusion counts, (N, K, K + 1); the last column holds predictions that name no class."""
    each = [_totals(image) for image in counts]
    pooled = _totals(counts.sum(axis=0))
    iou, dice = (
        _ratio(pooled.true_positives, pooled.union),
        _ratio(2 * pooled.true_positives, pooled.true + pooled.predicted),
    )
    recall, accuracy = (
        _ratio(pooled.true_positives, pooled.true),
        pooled.true_positives.sum() / pooled.scored if pooled.scored else np.nan,
    )
    present = pooled.true > 0
    share = pooled.true / max(1.0, pooled.true.sum())
    seen = (pooled.true + pooled.predicted) > 0
    in_target = "over classes that are in the ground truth, so that a class invented by the model costs nothing"
    in_union = "over classes that are in the ground truth or predicted, as ours"
    return [
        Dialect("mmsegmentation", "aAcc", _percent(accuracy), "share of right pixels, in percent"),
        Dialect("mmsegmentation", "mIoU", _percent(_mean(iou[seen])), f"{in_union}, in percent"),
        Dialect(
            "mmsegmentation", "mAcc", _percent(_mean(recall[present])),
            "recall over classes that are in the ground truth, in percent",
        ),
        Dialect("mmsegmentation", "mDice", _percent(_mean(dice[seen])), "Dice over classes with a union, in percent"),
        Dialect("Detectron2", "mIoU", _percent(_mean(iou[present])), f"{in_target}, in percent"),
        Dialect(
            "Detectron2", "fwIoU", _percent(float((np.nan_to_num(iou) * share).sum())),
            "classes weigh as often as they are true, in percent",
        ),
        Dialect("Detectron2", "mACC", _percent(_mean(recall[present])), "recall over classes in the ground truth"),
        Dialect("Detectron2", "pACC", _percent(accuracy), "share of right pixels, in percent"),
        Dialect("Ultralytics", "mIoU (semantic)", _defined(_mean(iou[present])), in_target),
        Dialect(
            "torchmetrics", "JaccardIndex(average='macro')", _defined(_mean(iou[seen])),
            f"{in_union}; an absent class is left out since version 1.0",
        ),
        Dialect(
            "torchmetrics", "JaccardIndex(average='micro')",
            _defined(pooled.true_positives.sum() / max(1.0, pooled.union.sum())),
            "intersections over unions of all classes together",
        ),
        Dialect(
            "torchmetrics", "MeanIoU, per image", _defined(_mean(np.array([_mean(_of_image(one)) for one in each]))),
            "mean over the classes of each image, then over images; ours pools pixels over images",
        ),
        Dialect(
            "scikit-learn", "jaccard_score(average='macro')", _defined(_mean(iou[seen])),
            "over labels that are in either map, as ours, all pixels of all images as one array",
        ),
        Dialect(
            "scikit-learn", "jaccard_score(average='weighted')", _defined(float((np.nan_to_num(iou) * share).sum())),
            "classes weigh as often as they are true",
        ),
        Dialect("scikit-learn", "accuracy_score", _defined(float(accuracy)), "share of right pixels"),
    ]  # fmt: skip


def _totals(counts: NDArray[np.float64]) -> _Totals:
    of_class = counts[:, :-1]
    return _Totals(np.diagonal(of_class).copy(), counts.sum(axis=1), of_class.sum(axis=0), float(counts.sum()))


def _of_image(one: _Totals) -> NDArray[np.float64]:
    return np.asarray(_ratio(one.true_positives, one.union)[one.union > 0])


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    quotient: NDArray[np.float64] = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _percent(value: float | np.floating) -> float | None:
    return _defined(100 * float(value))


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


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
        Dialect(
            "torchmetrics",
            "MeanAveragePrecision map",
            score.value,
            "as COCO, to 4e-4",
        ),
        Dialect("Ultralytics", "mAP50-95(M)", theirs(slice(None)), trapezoids),
        Dialect("Ultralytics", "mAP50(M)", theirs(slice(0, 1)), trapezoids),
    ]


def _ultralytics(rows: NDArray[np.float64], classes: Sequence[ClassSpec]) -> Callable[[slice], float | None]:
    """AP by `compute_ap` of Ultralytics, as a function of which IoU thresholds are averaged."""
    number, kind, class_id, score, matched, ignored = (rows[:, column] for column in (0, 1, 2, 3, 6, 7))
    del number
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
