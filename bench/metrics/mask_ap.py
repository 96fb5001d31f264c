"""COCO's mask AP: the headline of instance segmentation.

What it measures:
    How well objects are found, told apart, outlined and ranked by their scores.

Definition:
    pycocotools' `COCOeval` with `iouType='segm'`: for ten IoU thresholds 0.50:0.05:0.95 and each
    thing class, detections are matched to ground truth greedily by falling score, at most 100 per image
    and class; precision is made monotone from the right and averaged at 101 recall points; AP is
    the mean over thresholds and classes with a ground truth. Crowds are not asked for: a detection on one
    (intersection over its own area) counts neither for nor against, as does an unmatched one
    outside the range of areas. Areas are those that the annotations say, where they do, else those of the masks, in
    pixels of the original image; of detections always those of the masks.
    Parts: AP50, AP75, AP_small (up to 32²), AP_medium, AP_large (from 96²), AR_1, AR_10, AR_100 and
    the AR of each range.

When undefined:
    A class without a ground truth that is not a crowd has no value and leaves the mean; without any such
    class there is no AP. COCO writes -1 for both.

Differs from:
    Ultralytics' own mAP: precision interpolated linearly and integrated by trapezoids (a perfect
    detector gets 0.995), no crowds, up to 300 detections, masks compared at a quarter of the
    network's size. torchmetrics takes recall points in 32-bit floats (off by 4e-4). COCO results
    that hold a `bbox` are sorted into ranges by the area of that box instead of the mask's;
    supervision's mask mAP compares boxes. Detectron2 uses a C++ version with small differences.
    cityscapesScripts' AP is another quantity: an IoU above the threshold, ground truth from 100 pixels on,
    precision integrated in steps of recall and not made monotone, any number of detections.

Source:
    Lin et al., Microsoft COCO, ECCV 2014; cocodataset/cocoapi at 8c9bcc3, `pycocotools/cocoeval.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._average_precision import PrecisionMetric
from bench.metrics._masks import Stack, intersections
from bench.metrics._matching import best_threshold
from bench.records.predictions import Instances

__all__ = ["METRIC", "best_threshold", "mask_ious"]


def mask_ious(target: Instances, predicted: Instances, true_masks: Stack, masks: Stack) -> NDArray[np.float64]:
    """Return the IoU of detections with ground truth of their class, (D, G), else 0; of a crowd, the share in it."""
    same_class = predicted.class_ids[:, None] == target.class_ids[None]
    shared = intersections(masks, true_masks, same_class)
    if target.crowd.any():
        union = masks.areas[:, None] + np.where(target.crowd, 0, true_masks.areas)[None]
        union = union - np.where(target.crowd[None], 0, shared)
    else:
        union = masks.areas[:, None] + true_masks.areas[None] - shared
    return np.asarray(shared / np.maximum(union, 1))  # masks of no pixels share none


METRIC = PrecisionMetric(
    name="mask_ap",
    version=2,
    label="mask AP",
    template=(
        "COCO AP of masks at the original size: mean over IoU 0.50:0.05:0.95 and thing classes with a ground "
        "truth, 101 recall points, {most} detections per image and class, crowds ignored"
    ),
    statistic="mask_matches",
    ious=mask_ious,
)
