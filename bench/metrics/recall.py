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

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    class_recall,
    mean_where,
    over_dataset,
)


def mean_recall(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean recall over the classes that are true somewhere."""
    return mean_of_defined(class_recall(totals))


def never_true_is_zero(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the mean recall over the classes that occur, 0 for those that are never true."""
    return mean_where(class_recall(totals), totals.union > 0)


def micro_recall(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the share of all true pixels that are right."""
    return ratio(totals.true_positives.sum(axis=-1), totals.target.sum(axis=-1))


METRIC = ConfusionMetric(
    name="recall",
    version=1,
    label="Recall",
    definition=(
        "mean over classes in a target of true positives / true pixels, counts pooled over images, void left out"
    ),
    formula=Formula(
        headline=mean_recall,
        undefined_because="every pixel of every target is void",
        per_class=class_recall,
        dialects={
            "never_true_is_zero": over_dataset(never_true_is_zero),
            "micro": over_dataset(micro_recall),
        },
    ),
)
