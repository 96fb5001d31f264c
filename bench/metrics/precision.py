"""Precision of pixels.

What it measures:
    Of the pixels predicted as a class, the share that truly is of it.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    precision = true positives / predicted pixels. The mean runs over the classes that are predicted at all.

When undefined:
    A class that is never predicted has no precision and leaves the mean.

Differs from:
    `never_predicted_is_zero`: torchmetrics' and scikit-learn's macro precision count a class that is
    true but never predicted as 0 and leave out only classes that occur nowhere. PaddleSeg prints
    this quantity as the class's "Acc". `micro` counts every prediction that names a class alike.

Source:
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mPrecision).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import (
    ClassTotals,
    Formula,
    bootstrap_confusion,
    class_precision,
    mean_where,
    observe_confusion,
    over_dataset,
    score_confusion,
)
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


def mean_precision(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean precision over the predicted classes."""
    return mean_of_defined(class_precision(totals))


def never_predicted_is_zero(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean precision over the classes that occur, 0 for those that are never predicted."""
    return mean_where(class_precision(totals), totals.union > 0)


def micro_precision(totals: ClassTotals) -> NDArray[np.float64]:
    """Share of all predictions naming a class that are right."""
    return ratio(totals.true_positives.sum(axis=-1), totals.predicted.sum(axis=-1))


FORMULA = Formula(
    headline=mean_precision,
    undefined_because="no class is predicted on any pixel that is scored",
    per_class=class_precision,
    dialects={
        "never_predicted_is_zero": over_dataset(never_predicted_is_zero),
        "micro": over_dataset(micro_precision),
    },
)


class Metric:
    """Mean precision over predicted classes, pooled over the data set."""

    name = "precision"
    version = 1
    label = "Precision"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = (
        "mean over predicted classes of true positives / predicted pixels, counts pooled over images, void left out"
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
