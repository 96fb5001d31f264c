"""Panoptic quality that also asks for the outline: segments match by the smaller of mask and boundary IoU.

What it measures:
    As `panoptic_quality`, but a large segment with a sloppy outline no longer passes for a good one.

Definition:
    As `panoptic_quality`, with min(IoU of the segments, IoU of their boundaries) in place of the
    IoU, both for the match and in the sum. The boundary of a segment is the segment without its
    erosion by a square of 2d + 1 pixels, what lies outside the image counting as not in it;
    d = max(1, round(0.02 * diagonal of the image)). Boundary pixels of a prediction on void are
    left out of the union of boundaries as its other pixels are.

When undefined:
    As `panoptic_quality`.

Differs from:
    boundary-iou-api erodes one mask per segment; here all segments of a map are eroded at once,
    which gives the same pixels.

Source:
    Cheng et al., Boundary IoU, CVPR 2021, §5 (Boundary PQ); boundary-iou-api at 37d2558.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.metrics.boundary_iou import boundary_width, class_boundaries
from bench.metrics.panoptic_quality import FIRST, VOID, listed_ids, quality_metric, segment_matches
from bench.records.predictions import Panoptic


def segment_boundaries(dense: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Return the boundaries of all segments of a map at once, bool, (H, W); see `class_boundaries`."""
    # OpenCV's morphology knows no wider integers; float32 is exact up to 2^24, more than an image's segments.
    narrow = dense.max(initial=0) < 2**16
    places: NDArray[np.uint16 | np.float32] = dense.astype(np.uint16) if narrow else dense.astype(np.float32)
    return class_boundaries(places, width)


def boundary_ious(target: Panoptic, predicted: Panoptic) -> NDArray[np.float64]:
    """Return the IoU of the boundary of each true with that of each predicted segment, (true, predicted)."""
    width = boundary_width(target.size)
    true_map = listed_ids(target, "target").dense(target.segment_ids)
    predicted_map = listed_ids(predicted, "prediction").dense(predicted.segment_ids)
    true_rim, predicted_rim = (segment_boundaries(one, width) for one in (true_map, predicted_map))
    rows, columns = len(target.segments) + FIRST, len(predicted.segments) + FIRST
    both = true_rim & predicted_rim
    flat = true_map[both] * columns + predicted_map[both]
    shared = np.bincount(flat, minlength=rows * columns).reshape(rows, columns)[FIRST:, FIRST:]
    true_area = np.bincount(true_map[true_rim], minlength=rows)[FIRST:]
    judged_area = np.bincount(predicted_map[predicted_rim & (true_map != VOID)], minlength=columns)[FIRST:]
    union = true_area[:, None] + judged_area[None] - shared
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1), 0.0))


METRIC = quality_metric(
    name="boundary_panoptic_quality",
    label="Boundary PQ",
    definition=(
        "panoptic quality with min(IoU, IoU of boundaries) as IoU, d = max(1, round(0.02 diagonal)), void and "
        "crowds as in panopticapi"
    ),
    statistic="segment_boundary_matches",
    observed=partial(segment_matches, at_most=boundary_ious),
)
