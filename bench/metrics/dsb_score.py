"""Score of the Data Science Bowl 2018: objects found at ten IoU thresholds, image by image.

What it measures:
    Detection and outlines of objects in one number, every image weighing the same.

Definition:
    Matched as in `object_f1`. For each image, class and IoU threshold of 0.50:0.05:0.95, matches / (matches + false
    positives + misses); the mean over thresholds, then over the images where the class is true or predicted, then over
    thing classes.

When undefined:
    An image without a true and a predicted object of a class has no value for it.

Differs from:
    The competition takes pairs with an IoU above the threshold, here from the threshold on. StarDist calls the same
    ratio, at one threshold and pooled over images, "accuracy" or average precision: `pooled`. It is not COCO's AP.

Source:
    Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, pooled_of
from bench.metrics._objects import MATCHED, SEEN, TRUE, object_metric


def jaccard_of_objects(sums: Sums) -> NDArray[np.float64]:
    """Matches over matches, false positives and misses, mean over thresholds."""
    matched = sums[..., MATCHED]
    either = (sums[..., TRUE] + sums[..., SEEN])[..., None] - matched
    return np.asarray(ratio(matched, either).mean(axis=-1))


METRIC = object_metric(
    name="dsb_score",
    label="DSB",
    definition=(
        "mean over images and then thing classes of matches / (matches + false positives + misses), mean over IoU "
        "0.50:0.05:0.95, detections with a score >= 0.5 matched one to one by falling IoU"
    ),
    formula=jaccard_of_objects,
    over="images",
    dialects={"pooled": pooled_of(jaccard_of_objects)},
)
