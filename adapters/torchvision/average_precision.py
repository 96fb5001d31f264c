"""A training's own look at its instances: AP of masks at IoU 0.5.

It chooses among the weights of one training and is reported as the framework's own figure; the
scores of a run come from the harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records.predictions import Instances

IOU = 0.5
RECALLS = np.linspace(0, 1, 101)
"""This says where COCO reads the precision."""


@dataclass(frozen=True)
class Matched:
    """The predictions of one class in one image, against its ground truth.

    Attributes:
        scores: float64, (N,).
        right: True for each detection that has a ground truth of its own, bool, (N,).
        ground_truths: Number of ground truth.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    ground_truths: int


def mask_ap50(ground_truths: Sequence[Instances], found: Sequence[Instances]) -> float | None:
    """Return COCO's average precision of masks at IoU 0.5, 0-1; None if nothing is to be found.

    The mean over classes with a ground truth of the precision, made monotone and read at 101 recalls.
    Unlike COCO's own evaluation, ground truth that are crowds are left out rather than ignored.

    Args:
        ground_truths: Ground truths of each image.
        found: Predicted instances of each image, at the same size.
    """
    classes = {int(c) for ground_truth in ground_truths for c in ground_truth.class_ids[~ground_truth.crowd]}
    if not classes:
        return None
    precisions = [
        _average_precision([_match(t, f, class_id) for t, f in zip(ground_truths, found, strict=True)])
        for class_id in sorted(classes)
    ]
    return float(np.mean(precisions))


def _match(ground_truth: Instances, found: Instances, class_id: int) -> Matched:
    """Give each prediction, surest first, the free ground truth it overlaps most, if that is by at least `IOU`."""
    ours = found.class_ids == class_id
    order = np.argsort(-found.scores[ours], kind="stable")
    masks = found.masks[ours][order]
    targets = ground_truth.masks[(ground_truth.class_ids == class_id) & ~ground_truth.crowd]
    overlaps = _ious(masks, targets)
    free, right = np.ones(len(targets), dtype=np.bool_), np.zeros(len(masks), dtype=np.bool_)
    for index, row in enumerate(overlaps):
        candidates = np.where(free, row, -1.0)
        if len(candidates) and candidates.max() >= IOU:
            free[candidates.argmax()] = False
            right[index] = True
    return Matched(found.scores[ours][order], right, len(targets))


def _ious(masks: NDArray[np.bool_], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU of every mask with every target, (N, M)."""
    pixels = targets.shape[1] * targets.shape[2]
    rows = masks.reshape(len(masks), pixels).astype(np.float32)
    columns = targets.reshape(len(targets), pixels).astype(np.float32)
    inter = (rows @ columns.T).astype(np.float64)
    union = rows.sum(axis=1)[:, None] + columns.sum(axis=1)[None, :] - inter
    ious: NDArray[np.float64] = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return ious


def _average_precision(matched: Sequence[Matched]) -> float:
    order = np.argsort(-np.concatenate([m.scores for m in matched]), kind="stable")
    right = np.concatenate([m.right for m in matched])[order].cumsum()
    recall = right / sum(m.ground_truths for m in matched)
    precision = right / np.arange(1, len(right) + 1)
    # The best precision at this recall or any higher one; 0 beyond the highest recall.
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(recall, RECALLS, side="left")].mean())
