"""Intersection over union of the one foreground class.

What it measures:
    How well the object of a two-class task is found. Mean IoU averages in the background, which is
    easy and large; this does not.

Definition:
    The IoU of the class that is not background, counts pooled over all images, void pixels of the
    target left out. The background is the class called `background`, or class 0 where none is.

When undefined:
    For any number of classes but two, and where the foreground is neither true nor predicted
    anywhere.

Differs from:
    `per_image`: averages over the images where the foreground is true or predicted.
    `per_image_absent_is_one`: smp's default and many papers count an image without foreground and
    without false alarm as 1. Ultralytics reports the pooled number for one-class models. Mean IoU
    over background and foreground is `mean_iou`.

Source:
    Everingham et al., The Pascal VOC Challenge, IJCV 2010, §4.2, for a single class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    class_iou,
    class_mean,
    over_dataset,
    per_image,
)
from bench.records import ClassSpec, background_class


def formula(classes: Sequence[ClassSpec]) -> Formula:
    """Return the formula for a label space; it is never defined for another number of classes than two."""
    if len(classes) != 2:
        return Formula(
            headline=lambda totals: np.full(totals.true_positives.shape[:-1], np.nan),
            undefined_because=f"needs exactly two classes, one of them background; there are {len(classes)}",
        )
    class_id = 0 if background_class(classes) == 1 else 1

    def iou(totals: ClassTotals) -> NDArray[np.float64]:
        return class_iou(totals)[..., class_id]

    return Formula(
        headline=iou,
        undefined_because=f"class {classes[class_id].name!r} occurs in no target and no prediction",
        dialects={
            "per_image": per_image(iou),
            "per_image_absent_is_one": lambda images: mean_of_defined(np.nan_to_num(iou(images), nan=1.0)),
            "mean_with_background": over_dataset(class_mean(class_iou)),
        },
    )


METRIC = ConfusionMetric(
    name="foreground_iou",
    label="IoU fg",
    definition="true positives / union of the class that is not background, counts pooled over images, void left out",
    formula=formula,
)
