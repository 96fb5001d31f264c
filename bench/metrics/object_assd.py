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

from bench.metrics._distance_measures import ASSD

METRIC = ASSD.over_objects()
