"""IoU of each class at a threshold that was chosen on the validation split.

What it measures:
    As `threshold_dice`, with the intersection over union in the place of the Dice coefficient.

Definition:
    Thresholds, counts and parts are those of `threshold_dice`: the threshold with the best Dice has the best IoU, too.
    IoU = true positives / (called or true pixels).

When undefined:
    A class that is neither true nor called anywhere has no value.

Differs from:
    As `threshold_dice`. `mean_iou` gives each pixel to one class, the highest, and pools over the same pixels.

Source:
    Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML PKDD 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics.threshold_dice import CALLED, TRUE, TRUE_POSITIVES, Sums, ThresholdMetric, at_half


def at_threshold(sums: Sums) -> NDArray[np.float64]:
    """Return the IoU of each class, (..., K); nan where it is neither true nor called."""
    true_positives, called, true = sums[..., TRUE_POSITIVES], sums[..., CALLED], sums[..., TRUE]
    return ratio(true_positives, called + true - true_positives)


METRIC = ThresholdMetric(
    name="threshold_iou",
    label="IoU at tau",
    definition=(
        "mean over classes without background of true positives / (called or true pixels), one-versus-rest, "
        "called from the class's tau on, counts pooled over images, void left out"
    ),
    formula=at_threshold,
    parts={"at tau 0.5": at_half(at_threshold)},
)
