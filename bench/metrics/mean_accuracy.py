"""Mean class accuracy (mAcc).

What it measures:
    The share of right pixels, computed per true class and then averaged: accuracy in which a rare
    class weighs as much as a common one.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class, accuracy =
    true positives / true pixels. The mean runs over the classes that are true somewhere. It is the mean
    recall under the name that toolboxes print it by.

When undefined:
    A class that is in no target has no accuracy and leaves the mean.

Differs from:
    The same number as mmsegmentation's mAcc and Detectron2's mACC. PaddleSeg's "Acc" per class
    divides by the predicted pixels and is a precision. The one-against-rest accuracy of smp and
    torchmetrics counts true negatives and is far higher. `per_image` averages over images.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (mean accuracy);
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mAcc).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics._semantic import (
    Formula,
    bootstrap_confusion,
    class_recall,
    observe_confusion,
    per_image,
    score_confusion,
)
from bench.metrics.recall import mean_recall
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

FORMULA = Formula(
    headline=mean_recall,
    undefined_because="every pixel of every target is void",
    per_class=class_recall,
    dialects={"per_image": per_image(mean_recall)},
)


class Metric:
    """Mean over true classes of the share of their pixels that are right."""

    name = "mean_accuracy"
    version = 1
    label = "mAcc"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = "mean over classes in a target of the share of their pixels that are right, counts pooled over images"

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
