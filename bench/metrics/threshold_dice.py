"""Dice of each class at a threshold that was chosen on the validation split.

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

    Dice = 2 true positives / (called + true pixels).

When undefined:
    A class that is neither true nor called anywhere has no value.

Differs from:
    Papers that report the best threshold of the test set itself: that is `best on these images` here. `dice`
    gives each pixel to one class, the highest, and pools over the same pixels.

Source:
    Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML PKDD 2014.
"""

from __future__ import annotations

from bench.metrics._thresholds import best_levels, curve, dice_at_threshold, threshold_metric

__all__ = ["METRIC", "best_levels", "curve"]


METRIC = threshold_metric(
    name="threshold_dice",
    label="Dice at tau",
    definition=(
        "mean over classes without background of 2 true positives / (called + true pixels), one-versus-rest, "
        "called from the class's tau on, counts pooled over images, void left out"
    ),
    formula=dice_at_threshold,
)
