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
    boundary-iou-api, if its annotations are polygons: it reads their stored area for the ranges.

Source:
    Cheng et al., Boundary IoU, CVPR 2021, §4; boundary-iou-api at 37d2558.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics._instances import as_instances, bootstrap_precision, match_rows, ranked, score_precision
from bench.metrics._masks import boundaries, mask_stack
from bench.metrics.boundary_iou import boundary_width
from bench.metrics.mask_ap import mask_ious
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


class Metric:
    """Mean average precision by the smaller of mask and boundary IoU."""

    name = "boundary_ap"
    version = 1
    label = "Boundary AP"
    tasks: tuple[TaskKind, ...] = ("instance",)
    higher_is_better = True
    statistic = "boundary_matches"
    definition = "COCO AP with min(IoU of masks, IoU of boundaries) as IoU, d = max(1, round(0.02 diagonal))"

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
        """Ground truth and matched detections of one image."""
        truth, guess = as_instances(target, predicted, classes)
        found = ranked(guess)
        width = boundary_width(truth.size)
        true_masks, masks = mask_stack(truth.masks), mask_stack(guess.masks)
        true_rims, rims = mask_stack(boundaries(truth.masks, width)), mask_stack(boundaries(guess.masks, width))
        ious = mask_ious(truth, true_masks, guess.class_ids, masks)
        of_rims = mask_ious(truth, true_rims, guess.class_ids, rims)
        smaller = np.where(truth.crowd[None], ious, np.minimum(ious, of_rims))
        return match_rows(truth, guess, found, smaller, (true_masks.areas, masks.areas))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the rows of all images, shape (rows, 8)."""
        return score_precision(self, statistics, classes, seed=seed)

    def bootstrap(
        self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Headline for each resample of the images, shape (draws,)."""
        return bootstrap_precision(statistics, classes, seed=seed)
