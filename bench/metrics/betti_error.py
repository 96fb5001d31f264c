"""Betti error: by how many parts and holes a prediction differs.

What it measures:
    Topology alone: whether a structure falls apart, merges, or has holes that it should not have. Where they lie does
    not matter, so it belongs beside a metric of overlap.

Definition:
    For each image and class, the absolute difference in the number of regions (pixels that touch by edges or corners)
    plus that in the number of holes (areas of other pixels that are shut in, touching by edges); void pixels are
    removed from both masks first. The mean over the images where the class is true or predicted, then over classes
    without background. Lower is better. Parts: `b0` of regions and `b1` of holes alone.

When undefined:
    An image without true and predicted pixels of a class has no value for it.

Differs from:
    Hu et al. average over random patches of 64 x 64 pixels; here the whole image is taken. The Betti matching error
    (Stucki et al., 2023) also asks that parts and holes lie in the same place.

Source:
    Hu et al., Topology-Preserving Deep Image Segmentation, NeurIPS 2019, §4 (Betti number error).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, SumsMetric, quotient
from bench.metrics._regions import betti_numbers, class_masks
from bench.records import ClassSpec
from bench.records.predictions import Prediction

REGIONS, HOLES, COUNTED = range(3)
"""Columns: absolute differences in both numbers, and 1 where the class is true or predicted."""


def betti_differences(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums:
    """Compare regions and holes of one image by class, float64, (K, 3)."""
    sums = np.zeros((len(classes), 3))
    for one in class_masks(target, predicted, classes):
        (true_regions, true_holes), (regions, holes) = betti_numbers(one.true), betti_numbers(one.seen)
        sums[one.class_id] = abs(true_regions - regions), abs(true_holes - holes), 1
    return sums


def both(sums: Sums) -> NDArray[np.float64]:
    """Regions and holes together, per image that counts."""
    return ratio(sums[..., REGIONS] + sums[..., HOLES], sums[..., COUNTED])


METRIC = SumsMetric(
    name="betti_error",
    label="Betti error",
    definition=(
        "mean over images and then classes without background of |difference in regions| + |difference in holes|, "
        "8-connectivity of regions, 4-connectivity of holes, whole images; lower is better"
    ),
    statistic="betti",
    observed=betti_differences,
    columns=3,
    formula=both,
    parts={"b0": quotient(REGIONS, COUNTED), "b1": quotient(HOLES, COUNTED)},
    unit="regions and holes",
    higher_is_better=False,
)
