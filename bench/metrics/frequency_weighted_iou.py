"""Frequency-weighted intersection over union.

What it measures:
    Overlap of predicted and true area, each class weighing as much as it is common: what a typical
    pixel's class scores.

Definition:
    Counts are pooled over all images, void pixels of the target left out. The IoU of each class is
    weighted with the class's share of the true pixels. A class that is never true has weight 0.

When undefined:
    Where every target pixel is void.

Differs from:
    The same number in Detectron2 (`fwIoU`) and Hoiem-style evaluators. It hides rare classes; it is
    not the mean IoU of smp's `weighted` reduction unless that is given the same frequencies.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (f.w. IU).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics._semantic import (
    Formula,
    bootstrap_confusion,
    class_iou,
    observe_confusion,
    score_confusion,
)
from bench.metrics.mean_iou import frequency_weighted
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

FORMULA = Formula(
    headline=frequency_weighted,
    undefined_because="every pixel of every target is void",
    per_class=class_iou,
)


class Metric:
    """IoU weighted with how often each class is true."""

    name = "frequency_weighted_iou"
    version = 1
    label = "fwIoU"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = (
        "IoU of each class weighted with its share of the true pixels, counts pooled over images, void left out"
    )

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Confusion counts of one image, shape (K, K + 1)."""
        return observe_confusion(target, predicted, classes)

    def score(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the counts of all images, shape (N, K, K + 1)."""
        return score_confusion(self, FORMULA, statistics, classes, seed=seed)

    def bootstrap(
        self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Headline for each resample of the images, shape (draws,)."""
        return bootstrap_confusion(FORMULA, statistics, classes, seed=seed)
