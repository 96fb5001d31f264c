"""Boundary AP: mask AP that also asks for the outline.

What it measures:
    As `mask_ap`, but a large object with a sloppy outline no longer passes for a good one.

Definition:
    As `mask_ap`, with min(IoU of the masks, IoU of their boundaries) in place of the IoU; for
    crowds, whose outline means nothing, the share of the detection that lies in them. The boundary
    of a mask is the mask without its erosion by a square of 2d + 1 pixels, what lies outside the
    image counting as not in it; d = max(1, round(0.02 * diagonal of the image)).

When undefined:
    As `mask_ap`.

Differs from:
    Boundary IoU of label maps (`boundary_iou`), which pools rims per class and matches nothing.

Source:
    Cheng et al., Boundary IoU, CVPR 2021, §4; boundary-iou-api at 37d2558.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._average_precision import PrecisionMetric
from bench.metrics._masks import Stack, boundaries, mask_stack
from bench.metrics.boundary_iou import boundary_width
from bench.metrics.mask_ap import mask_ious
from bench.records.predictions import Instances


def smaller_ious(target: Instances, predicted: Instances, true_masks: Stack, masks: Stack) -> NDArray[np.float64]:
    """Return the smaller of the IoU of masks and of their boundaries, (D, ground truth); of a crowd that of masks."""
    width = boundary_width(target.size)
    true_rims, rims = (mask_stack(boundaries(one.masks, width)) for one in (target, predicted))
    ious = mask_ious(target, predicted, true_masks, masks)
    of_rims = mask_ious(target, predicted, true_rims, rims)
    return np.where(target.crowd[None], ious, np.minimum(ious, of_rims))


METRIC = PrecisionMetric(
    name="boundary_ap",
    version=2,
    label="Boundary AP",
    template=(
        "COCO AP with min(IoU of masks, IoU of boundaries) as IoU, d = max(1, round(0.02 diagonal)), {most} detections "
        "per image and class"
    ),
    statistic="boundary_matches",
    ious=smaller_ious,
)
