"""Holds what the lesion-wise metrics share: connected regions of a class, and which of them overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums
from bench.metrics._regions import class_masks, components
from bench.records import ClassSpec
from bench.records.predictions import Prediction

STATISTIC = "lesions"
TRUE, FOUND, SEEN, FALSE, DICE = range(5)
"""Columns: true lesions, those with a predicted pixel in them, predicted regions, those without a true pixel, and the
sum of the true lesions' Dice coefficients."""
COLUMNS = 5
COUNTS = {"true": TRUE, "found": FOUND, "predicted": SEEN, "false": FALSE}
NONE = "no class but the background occurs in any target or prediction"


def lesion_sums(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums:
    """Count the lesions of one image by class, float64, (K, 5)."""
    sums = np.zeros((len(classes), COLUMNS))
    for one in class_masks(target, predicted, classes):
        (true_count, true), (seen_count, seen) = components(one.true), components(one.seen)
        pairs = true.astype(np.int64) * (seen_count + 1) + seen
        shared = np.bincount(pairs.ravel(), minlength=(true_count + 1) * (seen_count + 1))
        sums[one.class_id] = _of_pairs(shared.reshape(true_count + 1, seen_count + 1))
    return sums


def _of_pairs(shared: NDArray[np.int64]) -> NDArray[np.float64]:
    """Columns of a class from the pixels that each true lesion (row) shares with each region; 0 is neither."""
    touching = shared[1:, 1:] > 0
    overlap = shared[1:, 1:].sum(axis=1)
    seen_area = (touching * shared[:, 1:].sum(axis=0)[None]).sum(axis=1)
    dice = ratio(2 * overlap, shared[1:].sum(axis=1) + seen_area)
    found, false = np.asarray(touching.any(axis=1)), np.asarray(~touching.any(axis=0))
    return np.array([len(found), found.sum(), len(false), false.sum(), dice.sum()], dtype=np.float64)
