"""Boundary intersection over union: how well outlines are traced.

What it measures:
    Overlap of the rims of predicted and true areas. IoU of a large object hardly notices a sloppy
    outline; this does.

Definition:
    For each class, one binary mask of the target and one of the prediction. The boundary of a mask
    is the mask without its erosion by a square of 2d + 1 pixels, everything outside the image
    counting as not in the mask, so an object cut by the image border has a boundary there.
    d = max(1, round(0.02 * diagonal of the image)). Intersections and unions of the two boundaries
    are pooled over all images; the mean runs over the classes with a union. Void pixels of the
    target are removed from both masks first: what is predicted there is never judged, and an edge
    against void counts as an edge of both. `pixels` is the number of pixels in the unions.

When undefined:
    A class that is in no target and no prediction has no value and leaves the mean; without any
    such class there is no mean.

Differs from:
    boundary-iou-api has no semantic version: it scores pairs of instances, and Boundary AP and PQ
    match by the smaller of mask and boundary IoU. Detectron2's `SemSegEvaluator` erodes the label
    map itself, a minimum over class ids, which invents classes: a border between 3 and 5 becomes a
    boundary of class 2. `per_image`: the mean over the classes of each image, then over images.

Source:
    Cheng et al., Boundary IoU, CVPR 2021, and boundary-iou-api at 37d2558,
    `boundary_iou/utils/boundary_utils.py` (zero padding, d erosions by 3 x 3: the same set of
    pixels as one erosion by 2d + 1). All classes are eroded at once; see `class_boundaries`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._class_sums import SumsMetric, quotient
from bench.metrics._confusion import require_classes
from bench.metrics._semantic import as_label_maps
from bench.metrics.trimap_iou import band
from bench.records import ClassSpec, Size, void_of
from bench.records.predictions import LabelMap, Prediction

DILATION_RATIO = 0.02
"""Width of the boundary as a share of the image diagonal."""


def boundary_width(size: Size) -> int:
    """Width d of the boundary in pixels.

    >>> boundary_width(Size(480, 640)), boundary_width(Size(8, 8))
    (16, 1)
    """
    return max(1, round(DILATION_RATIO * hypot(*size)))


def class_boundaries(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Return the boundaries of all classes of a label map at once.

    A pixel lies on the boundary of its own class's mask exactly if the square around it holds a
    pixel of another class or reaches beyond the image; that is, if the largest id in the square is
    not the smallest. Ids are compared, never subtracted, so no class is made up.

    Args:
        labels: Class ids, or numbers of segments up to 2^24, shape (H, W); void is a class like any other here.
        width: d >= 1, pixels; the square has 2d + 1.

    Returns:
        bool, shape (H, W): `boundaries & (labels == c)` is the boundary of class c.
    """
    boundaries = band(labels, width)
    for rows in (boundaries, boundaries.T):
        rows[:width] = True
        rows[-width:] = True
    return boundaries


def boundary_counts(target: LabelMap, predicted: LabelMap, *, num_classes: int) -> NDArray[np.int64]:
    """Count boundary pixels per class: intersection and union, int64, shape (K, 2).

    Raises:
        ShapeError: If the target holds an id that is neither a class nor void.
    """
    require_classes(target, num_classes=num_classes, ignore=void_of(target))
    width = boundary_width(Size(*target.shape))
    seen = np.where(target == void_of(target), target, predicted)
    true_rim, seen_rim = class_boundaries(target, width), class_boundaries(seen, width)
    both = _pixels_by_class(target[true_rim & seen_rim & (target == seen)], num_classes)
    either = _pixels_by_class(target[true_rim], num_classes) + _pixels_by_class(seen[seen_rim], num_classes) - both
    return np.stack([both, either], axis=1)


def _pixels_by_class(ids: LabelMap, num_classes: int) -> NDArray[np.int64]:
    return np.bincount(ids, minlength=max(256, num_classes)).astype(np.int64)[:num_classes]


def observe_boundaries(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[Any]:
    """Count the boundary pixels of one image by class, intersection and union, int64, shape (K, 2)."""
    true_map, predicted_map = as_label_maps(target, predicted)
    return boundary_counts(true_map.labels, predicted_map.labels, num_classes=len(classes))


METRIC = SumsMetric(
    name="boundary_iou",
    label="Boundary IoU",
    definition=(
        "mean over classes of IoU of binary boundaries, d = max(1, round(0.02 diagonal)), pooled over images, "
        "void removed from both"
    ),
    statistic="boundary",
    observed=observe_boundaries,
    columns=2,
    formula=quotient(0, 1),
    undefined_because="no class occurs in any target or prediction",
    dialects={"per_image": lambda sums: mean_of_defined(mean_of_defined(ratio(sums[..., 0], sums[..., 1])))},
    pixels=1,
)
