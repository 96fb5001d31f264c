"""Average symmetric surface distance of single objects: how far found outlines are off, and what misses cost.

What it measures:
    As `assd`, object by object: outlines of instances, in millimetres where the data set knows the spacing, else
    pixels.

Definition:
    As `object_hd95`, where the value of a matched pair is that of `assd` for their two masks. Lower is better.

When undefined:
    As `object_hd95`.

Differs from:
    `where_both_are`: the mean over matched pairs alone, as that of `object_hd95`. `assd` takes all pixels of a class
    in an image together.

Source:
    As `assd` and `object_hd95`.
"""

from __future__ import annotations

from bench.metrics._distance_measures import MEAN_OF_MEANS, POOLED_MEAN, measures, worst
from bench.metrics._object_surfaces import ObjectDistanceMetric

METRIC = ObjectDistanceMetric(
    name="object_assd",
    version=1,
    label="object ASSD",
    definition=(
        "mean over objects and then thing classes of the mean distance between the surfaces of pairs with IoU >= 0.5,"
        " mm where the spacing is known, else pixels; an object or a detection (score >= 0.5) without a match takes "
        "the image's diagonal"
    ),
    statistic="object_surfaces",
    measures=measures,
    worst=worst,
    column=POOLED_MEAN,
    dialects={"mean_of_directed": MEAN_OF_MEANS},
)
