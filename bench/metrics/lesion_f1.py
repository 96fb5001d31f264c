"""Lesion-wise F1: how many lesions are found at all, and how many alarms are lesions.

What it measures:
    Detection of separate regions of a class (lesions, cells, buildings) by models that label pixels, a small one
    weighing as much as a large one.

Definition:
    The lesions of a class are the regions of its mask whose pixels touch by edges or corners; void pixels are removed
    from both masks first. A true lesion is found if a pixel of it is predicted as its class; a predicted region is
    false if it holds no true pixel of the class. Recall = found / true lesions, precision = regions that are not
    false / predicted regions, counts pooled over all images, and F1 their harmonic mean; the headline is the mean over
    classes without background. Parts: precision and recall. The numbers are counted beside it.

When undefined:
    A class that is neither true nor predicted anywhere has no value.

Differs from:
    One-to-one matching at an IoU (`object_f1`), which charges a lesion that is predicted in two pieces. Some
    challenges ask for a share of overlap, or dilate the lesions first. `per_image`: mean over images, then classes.

Source:
    Commowick et al., Objective Evaluation of Multiple Sclerosis Lesion Segmentation, Scientific Reports 2018;
    Maier-Hein et al., Metrics Reloaded, Nature Methods 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, SumsMetric, f1_of, per_image_of, quotient
from bench.metrics._regions import class_masks, components
from bench.records import ClassSpec
from bench.records.predictions import Prediction

TRUE, FOUND, SEEN, FALSE, DICE = range(5)
"""Columns: true lesions, those with a predicted pixel in them, predicted regions, those without a true pixel, and the
sum of the true lesions' Dice coefficients."""


def lesion_sums(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums:
    """Count the lesions of one image by class, float64, (K, 5)."""
    sums = np.zeros((len(classes), 5))
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


def precision(sums: Sums) -> NDArray[np.float64]:
    """Return the predicted regions that hold a true pixel over all of them."""
    return ratio(sums[..., SEEN] - sums[..., FALSE], sums[..., SEEN])


lesion_metric = partial(
    SumsMetric,
    statistic="lesions",
    observed=lesion_sums,
    columns=5,
    counts={"true": TRUE, "found": FOUND, "predicted": SEEN, "false": FALSE},
)
"""Makes a metric that is a formula of these sums."""

RECALL = quotient(FOUND, TRUE)
F1 = f1_of(precision, RECALL)

METRIC = lesion_metric(
    name="lesion_f1",
    label="lesion F1",
    definition=(
        "mean over classes without background of the harmonic mean of true lesions with a predicted pixel / true "
        "lesions and predicted regions with a true pixel / predicted regions, counts pooled over images, 8-connectivity"
    ),
    formula=F1,
    parts={"precision": precision, "recall": RECALL},
    dialects={"per_image": per_image_of(F1)},
)
