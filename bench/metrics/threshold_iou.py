"""IoU of each class at a threshold that was chosen on the validation split.

What it measures:
    How well a class is segmented where it is called from a threshold on instead of by the highest probability, with
    the threshold chosen as a user would have to: without the scored images.

Definition:
    Classes are asked one-versus-rest: a pixel is called of a class where its probability is at least tau, so that a
    pixel can be of several classes or of none. Counts are pooled over all images, void left out. Tau of each class is
    the level of 256 with the best Dice (and so the best IoU: one rises with the other) on the validation split, whose
    probabilities are kept beside those of the test split; the smallest of equals. It is stated in the record and the
    report. Where there is no validation split apart from the scored one, or predictions are files, tau is 0.5, which is
    said. The headline is the mean over the classes without the background. Parts: `at tau 0.5`, and `best on these
    images`, which chooses tau on the scored images themselves: an upper bound, not a result.

    IoU = true positives / (called or true pixels).

When undefined:
    A class that is neither true nor called anywhere has no value.

Differs from:
    Papers that report the best threshold of the test set itself: that is `best on these images` here. `mean_iou`
    gives each pixel to one class, the highest, and pools over the same pixels.

Source:
    Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML PKDD 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._thresholds import CALLED, TRUE, TRUE_POSITIVES, Sums, threshold_metric


def at_threshold(sums: Sums) -> NDArray[np.float64]:
    """Return the IoU of each class, (..., K); nan where it is neither true nor called."""
    true_positives, called, true = sums[..., TRUE_POSITIVES], sums[..., CALLED], sums[..., TRUE]
    return ratio(true_positives, called + true - true_positives)


METRIC = threshold_metric(
    name="threshold_iou",
    label="IoU at tau",
    definition=(
        "mean over classes without background of true positives / (called or true pixels), one-versus-rest, "
        "called from the class's tau on, counts pooled over images, void left out"
    ),
    formula=at_threshold,
)
