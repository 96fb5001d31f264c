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

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    class_dice,
    mean_where,
    over_dataset,
    per_image,
)


def mean_dice(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean Dice over the classes that occur in a target or a prediction."""
    return mean_of_defined(class_dice(totals))


def present_in_target(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean Dice over the classes that occur in the target."""
    return mean_where(class_dice(totals), totals.target > 0)


def micro_dice(totals: ClassTotals) -> NDArray[np.float64]:
    """Return Dice of all classes' counts added up."""
    return ratio(2 * totals.true_positives.sum(axis=-1), (totals.target + totals.predicted).sum(axis=-1))


METRIC = ConfusionMetric(
    name="dice",
    version=1,
    label="Dice",
    definition=(
        "mean over classes that occur of 2 true positives / (true + predicted pixels), counts pooled, void left out"
    ),
    formula=Formula(
        headline=mean_dice,
        undefined_because="no class occurs in any target or prediction",
        per_class=class_dice,
        dialects={
            "present_in_target": over_dataset(present_in_target),
            "per_image": per_image(mean_dice),
            "micro": over_dataset(micro_dice),
        },
    ),
)
