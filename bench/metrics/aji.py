"""Aggregated Jaccard index: overlap of nuclei, with what is missed and invented in the union.

What it measures:
    Detection and outlines of objects as one ratio of pixels.

Definition:
    For each image and class, every true object takes the detection of the highest IoU; AJI = sum of the pixels that
    they share / (sum of the pixels that either has + pixels of detections that no true object took). A true object
    without an overlapping detection adds its area to the denominator. The value of a class is the mean over the images
    where it is true or predicted, the headline the mean over thing classes. Detections count from a score of 0.5.

When undefined:
    An image without a true and a predicted object of a class has no value for it.

Differs from:
    Two true objects may take the same detection, whose pixels then stand in the denominator twice; AJI+ (Graham et
    al., 2019) matches one to one. `pooled`: sums over all images.

Source:
    Kumar et al., A Dataset and a Technique for Generalized Nuclear Segmentation, TMI 2017; vqdang/hover_net,
    `metrics/stats_utils.py` (`get_fast_aji`).
"""

from bench.metrics._class_sums import pooled_of, quotient
from bench.metrics._objects import SHARED_SUM, UNION_SUM, object_metric

METRIC = object_metric(
    name="aji",
    label="AJI",
    definition=(
        "mean over images and then thing classes of pixels that true objects share with their detection of the highest "
        "IoU / (pixels of either + those of detections that none took), detections with a score >= 0.5"
    ),
    formula=quotient(SHARED_SUM, UNION_SUM),
    over="images",
    dialects={"pooled": pooled_of(quotient(SHARED_SUM, UNION_SUM))},
)
