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

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    class_precision,
    mean_where,
    over_dataset,
)


def mean_precision(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean precision over the predicted classes."""
    return mean_of_defined(class_precision(totals))


def never_predicted_is_zero(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean precision over the classes that occur, 0 for those that are never predicted."""
    return mean_where(class_precision(totals), totals.union > 0)


def micro_precision(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the share of all predictions naming a class that are right."""
    return ratio(totals.true_positives.sum(axis=-1), totals.predicted.sum(axis=-1))


METRIC = ConfusionMetric(
    name="precision",
    version=1,
    label="Precision",
    definition=(
        "mean over predicted classes of true positives / predicted pixels, counts pooled over images, void left out"
    ),
    formula=Formula(
        headline=mean_precision,
        undefined_because="no class is predicted on any pixel that is scored",
        per_class=class_precision,
        dialects={
            "never_predicted_is_zero": over_dataset(never_predicted_is_zero),
            "micro": over_dataset(micro_precision),
        },
    ),
)
