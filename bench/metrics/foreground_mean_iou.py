"""Mean IoU over the classes of objects, without the background.

What it measures:
    Overlap of the classes of interest. The background is easy and large: averaged in, it lifts a score of few classes
    most, and numbers with and without it are often printed in one table.

Definition:
    As `mean_iou`, from the same counts, with the mean over the classes other than the background that occur in a target
    or a prediction. Pixels of the background stay in the counts: an object predicted there is a false positive. The
    background is the class declared to be it, or the one called `background`; where there is none, every class is in
    the mean.

When undefined:
    Where no class but the background occurs in any target or prediction.

Differs from:
    `mean_iou`, which has the background in its mean: `with_background`. `foreground_iou` is for two classes.
    `per_image`: the mean over the classes of each image, then over images.

Source:
    Everingham et al., The Pascal VOC Challenge, IJCV 2010, §4.2, for the classes of objects.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.metrics._foreground import foreground_formula
from bench.metrics._semantic import ConfusionMetric, Formula, class_iou
from bench.records import ClassSpec


def formula(classes: Sequence[ClassSpec]) -> Formula:
    """Return the formula for a label space."""
    return foreground_formula(classes, class_iou)


METRIC = ConfusionMetric(
    name="foreground_mean_iou",
    version=1,
    label="mIoU fg",
    definition=(
        "mean over classes other than the background that occur of true positives / union, counts pooled over "
        "images, void left out"
    ),
    formula=formula,
)
