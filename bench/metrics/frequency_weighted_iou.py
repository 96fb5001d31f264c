"""Frequency-weighted intersection over union.

What it measures:
    Overlap of predicted and true area, each class weighing as much as it is common: what a typical
    pixel's class scores.

Definition:
    Counts are pooled over all images, void pixels of the target left out. The IoU of each class is
    weighted with the class's share of the true pixels. A class that is never true has weight 0.

When undefined:
    Where every target pixel is void.

Differs from:
    The same number in Detectron2 (`fwIoU`) and Hoiem-style evaluators. It hides rare classes; it is
    not the mean IoU of smp's `weighted` reduction unless that is given the same frequencies.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (f.w. IU).
"""

from bench.metrics._semantic import ConfusionMetric, Formula, class_iou
from bench.metrics.mean_iou import frequency_weighted

METRIC = ConfusionMetric(
    name="frequency_weighted_iou",
    label="fwIoU",
    definition="IoU of each class weighted with its share of the true pixels, counts pooled over images, void left out",
    formula=Formula(
        headline=frequency_weighted,
        undefined_because="every pixel of every target is void",
        per_class=class_iou,
    ),
)
