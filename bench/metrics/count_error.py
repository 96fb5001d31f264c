"""Count error: by how many objects an image is miscounted.

What it measures:
    Counting alone: a model that misses one object and invents another has none.

Definition:
    For each image and class, the absolute difference between the number of detections with a score of at least 0.5
    and that of true objects; the mean over all images, then over the thing classes that occur. Lower is better.
    Parts: `bias`, detections minus true objects, the mean in the same way; it is below 0 where a model counts too few.

When undefined:
    A class that is nowhere true or predicted has no value.

Differs from:
    Mean absolute percentage errors, which are undefined for images without objects. Crowds are no objects, and
    detections within one are left out.

Source:
    Lempitsky, Zisserman, Learning To Count Objects in Images, NeurIPS 2010 (mean absolute error).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._class_sums import Sums
from bench.metrics._objects import SEEN, TRUE, object_metric


def difference(sums: Sums) -> NDArray[np.float64]:
    """Detections minus true objects of each image; nan for classes that occur in no image."""
    occurs = (sums[..., TRUE] + sums[..., SEEN]).sum(axis=0) > 0
    return np.where(occurs, sums[..., SEEN] - sums[..., TRUE], np.nan)


METRIC = object_metric(
    name="count_error",
    label="count error",
    definition=(
        "mean over images and then thing classes that occur of |detections with a score >= 0.5 - true objects|, lower "
        "is better"
    ),
    formula=lambda sums: np.abs(difference(sums)),
    over="images",
    parts={"bias": difference},
    higher_is_better=False,
    unit="objects",
)
