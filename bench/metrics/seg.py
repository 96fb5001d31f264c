"""SEG of the Cell Tracking Challenge: how well each true object is covered.

What it measures:
    Outlines of the true objects, a missed one counting as zero. False positives cost nothing.

Definition:
    A detection matches a true object of its class if it covers more than half of it. The value of a true object is
    their intersection over union, 0 without a match; of a class, the mean over its true objects in all images; the
    headline is the mean over thing classes. Detections count from a score of 0.5.

When undefined:
    A class without a true object has no value.

Differs from:
    `object_f1` charges false positives. The challenge has one class and objects that do not overlap, so that one
    detection at most can match; of several that overlap, the one with the highest IoU does here.

Source:
    Maška et al., A benchmark for comparison of cell tracking algorithms, Bioinformatics 2014.
"""

from bench.metrics._class_sums import per_image_of, quotient
from bench.metrics._objects import COVERED, TRUE, object_metric

METRIC = object_metric(
    name="seg",
    label="SEG",
    definition=(
        "mean over thing classes of the mean over true objects of IoU with the detection (score >= 0.5) that covers "
        "more than half of the object, 0 without one"
    ),
    formula=quotient(COVERED, TRUE),
    dialects={"per_image": per_image_of(quotient(COVERED, TRUE))},
)
