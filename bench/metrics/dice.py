"""Dice coefficient, which is the F1 score of pixels.

What it measures:
    Overlap of predicted and true area per class: the harmonic mean of precision and recall.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    Dice = 2 true positives / (true pixels + predicted pixels) = 2 IoU / (1 + IoU). The mean runs over the
    classes that occur in a target or a prediction.

When undefined:
    A class without a true and without a predicted pixel has no value and leaves the mean; without
    any such class there is no mean.

Differs from:
    Mean Dice is not 2 mIoU / (1 + mIoU): the identity holds per class only.
    `per_image`: Carvana, smp's `-imagewise` reductions and most medical papers average over images,
    here over the images and classes that have a value. `micro`: smp's reduction of that name.
    `present_in_target`: averages over classes that occur in the target. PaddleSeg gives 0 to an
    absent class. Generalised Dice weighs classes by 1 / area^2 and is another quantity. Soft Dice
    (a loss) uses probabilities.

Source:
    Dice, Measures of the Amount of Ecologic Association Between Species, Ecology 26 (1945);
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mDice, mFscore with beta = 1).
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
    class_dice,
    mean_where,
    observe_confusion,
    over_dataset,
    per_image,
    score_confusion,
)
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


def mean_dice(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean Dice over the classes that occur in a target or a prediction."""
    return mean_of_defined(class_dice(totals))


def present_in_target(totals: ClassTotals) -> NDArray[np.float64]:
    """Mean Dice over the classes that occur in the target."""
    return mean_where(class_dice(totals), totals.target > 0)


def micro_dice(totals: ClassTotals) -> NDArray[np.float64]:
    """Dice of all classes' counts added up."""
    return ratio(2 * totals.true_positives.sum(axis=-1), (totals.target + totals.predicted).sum(axis=-1))


FORMULA = Formula(
    headline=mean_dice,
    undefined_because="no class occurs in any target or prediction",
    per_class=class_dice,
    dialects={
        "present_in_target": over_dataset(present_in_target),
        "per_image": per_image(mean_dice),
        "micro": over_dataset(micro_dice),
    },
)


class Metric:
    """Mean Dice (F1) over classes that occur, pooled over the data set."""

    name = "dice"
    version = 1
    label = "Dice"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = (
        "mean over classes that occur of 2 true positives / (true + predicted pixels), counts pooled, void left out"
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
