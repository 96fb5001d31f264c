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

from collections.abc import Callable, Sequence

import numpy as np

from bench.metrics._semantic import (
    ConfusionMetric,
    Formula,
    TotalsFormula,
    among,
    class_iou,
    class_mean,
    over_dataset,
    per_image,
)
from bench.records import ClassSpec, background_class


def foreground_formula(
    classes: Sequence[ClassSpec], of_class: TotalsFormula, **further: Callable[[TotalsFormula], TotalsFormula]
) -> Formula:
    """Return the mean over the classes other than the background; over every class where none of them is it.

    Args:
        classes: The label space.
        of_class: Formula that returns the score of each class.
        further: Dialects beside `with_background` and `per_image`, made of the scores without the background.
    """
    background = background_class(classes)
    of_objects = among(np.array([class_id != background for class_id in range(len(classes))]), of_class)
    return Formula(
        headline=class_mean(of_objects),
        undefined_because="no class but the background occurs in any target or prediction",
        per_class=of_objects,
        dialects={
            "with_background": over_dataset(class_mean(of_class)),
            "per_image": per_image(class_mean(of_objects)),
            **{name: dialect(of_objects) for name, dialect in further.items()},
        },
    )


METRIC = ConfusionMetric(
    name="foreground_mean_iou",
    label="mIoU fg",
    definition=(
        "mean over classes other than the background that occur of true positives / union, counts pooled over "
        "images, void left out"
    ),
    formula=lambda classes: foreground_formula(classes, class_iou),
)
