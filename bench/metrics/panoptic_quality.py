"""Panoptic quality: the headline of panoptic segmentation.

What it measures:
    How well things and stuff are found and outlined at once, every class weighing the same.

Definition:
    A predicted and a true segment of one class match if their IoU exceeds 0.5, the part of the
    prediction that lies on void left out of the union. Per class over all images, PQ = sum of the
    IoUs of the matches / (matches + half the false positives + half the misses). PQ = SQ * RQ: the
    mean IoU of the matches, and the F1 of the matching. The mean runs over classes with a match, a
    false positive or a miss. A crowd is never matched and never missed; an unmatched prediction is
    no false positive if more than half of it lies on void and the crowd of its class.

When undefined:
    A class without any of the three has no value and leaves the means; without any such class
    there is no mean, neither over all classes nor over things or stuff alone.

Differs from:
    torchmetrics' `PanopticQuality` also takes true pixels that are predicted as void out of the
    union and does not count ground truth that are mostly predicted as void as missed, so that a model
    gains by predicting nothing; it knows no crowds. panopticapi reads the areas of ground truth from
    their JSON, here they are counted from the map.

Source:
    Kirillov et al., Panoptic Segmentation, CVPR 2019, §4; panopticapi at 7bb4655, `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._panoptic import (
    as_panoptic,
    bootstrap_quality,
    check_shape,
    count_pairs,
    match,
    pair_ious,
    score_quality,
)
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


class Metric:
    """Mean panoptic quality over classes that occur."""

    name = "panoptic_quality"
    version = 1
    label = "PQ"
    tasks: tuple[TaskKind, ...] = ("panoptic",)
    higher_is_better = True
    statistic = "segment_matches"
    definition = (
        "mean over classes that occur of sum of IoU of matches / (matches + half of false positives and misses), "
        "a match has one class and IoU > 0.5, void and crowds as in panopticapi"
    )

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Sum of IoU, matches, false positives and misses of one image by class, shape (K, 4)."""
        true_map, predicted_map = as_panoptic(target, predicted)
        counts = count_pairs(true_map, predicted_map)
        return match(true_map, predicted_map, counts, pair_ious(counts), num_classes=len(classes))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the statistics of all images, shape (N, K, 4)."""
        check_shape(statistics, classes)
        return score_quality(self, statistics, classes, seed=seed)

    def bootstrap(
        self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Headline for each resample of the images, shape (draws,)."""
        check_shape(statistics, classes)
        return bootstrap_quality(statistics, seed=seed)
