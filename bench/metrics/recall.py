"""Recall of pixels.

What it measures:
    Of the pixels that truly are of a class, the share that is found.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    recall = true positives / true pixels; a prediction that names no class counts as missed. The mean runs
    over the classes that are true somewhere.

When undefined:
    A class that is in no target has no recall and leaves the mean.

Differs from:
    `never_true_is_zero`: torchmetrics' macro recall counts a class that is predicted but never true as
    0 and leaves out only classes that occur nowhere. `micro` is the pixel accuracy. The mean is
    what other toolboxes print as mean accuracy (see `mean_accuracy`).

Source:
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mRecall).
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
    class_recall,
    mean_where,
    observe_confusion,
    over_dataset,
    score_confusion,
)
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


def mean_recall(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean recall over the classes that are true somewhere."""
    return mean_of_defined(class_recall(totals))


def never_true_is_zero(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean recall over the classes that occur, 0 for those that are never true."""
    return mean_where(class_recall(totals), totals.union > 0)


def micro_recall(totals: ClassTotals) -> NDArray[np.float64]:
    """Share of all true pixels that are right."""
    return ratio(totals.true_positives.sum(axis=-1), totals.target.sum(axis=-1))


FORMULA = Formula(
    headline=mean_recall,
    undefined_because="every pixel of every target is void",
    per_class=class_recall,
    dialects={
        "never_true_is_zero": over_dataset(never_true_is_zero),
        "micro": over_dataset(micro_recall),
    },
)


class Metric:
    """Mean recall over true classes, pooled over the data set."""

    name = "recall"
    version = 1
    label = "Recall"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = (
        "mean over classes in a target of true positives / true pixels, counts pooled over images, void left out"
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
