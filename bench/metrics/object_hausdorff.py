"""Hausdorff distance of single objects: how far found outlines are off, and what misses cost.

What it measures:
    As `hausdorff`, object by object: outlines of instances, in millimetres where the data set knows the spacing, else
    pixels.

Definition:
    As `object_hd95`, where the value of a matched pair is that of `hausdorff` for their two masks. Lower is better.

When undefined:
    As `object_hd95`.

Differs from:
    `where_both_are`: the mean over matched pairs alone, as that of `object_hd95`. `hausdorff` takes all pixels of a
    class in an image together.

Source:
    As `hausdorff` and `object_hd95`.
"""

from bench.metrics._distance_measures import HAUSDORFF

METRIC = HAUSDORFF.over_objects()
