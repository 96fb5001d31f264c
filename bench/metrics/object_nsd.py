"""Normalised surface distance of single objects: how much of the outlines is right, misses and false alarms as 0.

What it measures:
    As `nsd`, object by object.

Definition:
    Matched as in `object_hd95`. The value of a matched pair is that of `nsd` for their two masks; a true object without
    a match, and a detection without one, have 0, and are counted. The tolerance is 2 mm, or 2 pixels where the spacing
    is not known; a suite sets another one as in `object_nsd@1`. The value of a class is the mean over all of these in
    all images, the headline the mean over thing classes.

When undefined:
    As `object_hd95`.

Differs from:
    `where_both_are`: the mean over matched pairs alone. `nsd` takes all pixels of a class in an image together.

Source:
    As `nsd`.
"""

from bench.metrics._surface_metrics import ObjectToleranceMetric
from bench.metrics.nsd import share_within

_TOLD = (
    "mean over objects and then thing classes of the share of both surfaces within {} of the other, of pairs with "
    "IoU >= 0.5; an object or a detection (score >= 0.5) without a match has 0"
)

METRIC = ObjectToleranceMetric(
    name="object_nsd",
    label="object NSD",
    definition=_TOLD.format("2 mm, or pixels where the spacing is not known,"),
    statistic="object_nsd",
    measures=share_within(None),
    worst=lambda _: (0.0,),
    is_distance=False,
    tolerant=share_within,
    told=_TOLD,
)
