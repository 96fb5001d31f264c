"""Pixel accuracy (aAcc): the share of right pixels.

What it measures:
    How many of the scored pixels have the right class, whatever the class.

Definition:
    Right pixels / pixels that are not void in the target, pooled over all images. A prediction that
    names no class is wrong.

When undefined:
    Where every target pixel is void.

Differs from:
    The same number as mmsegmentation's aAcc, Detectron2's pACC, Hugging Face's `overall_accuracy` and
    torchvision's global correct. `per_image` averages over images, so small images weigh as much
    as large ones. cityscapesScripts' per-image pixel accuracy inverts its mask and is not this.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (pixel accuracy).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics._semantic import (
    Formula,
    bootstrap_confusion,
    observe_confusion,
    per_image,
    score_confusion,
)
from bench.metrics.recall import micro_recall
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

FORMULA = Formula(
    headline=micro_recall,
    undefined_because="every pixel of every target is void",
    dialects={"per_image": per_image(micro_recall)},
)


class Metric:
    """Share of right pixels, pooled over the data set."""

    name = "pixel_accuracy"
    version = 1
    label = "aAcc"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = "right pixels / pixels that are not void, pooled over all images"

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Confusion counts of one image, shape (K, K + 1)."""
        return observe_confusion(target, predicted, classes)

    def score(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the counts of all images, shape (N, K, K + 1)."""
        return score_confusion(self, FORMULA, statistics, classes, seed=seed)

    def bootstrap(
        self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Headline for each resample of the images, shape (draws,)."""
        return bootstrap_confusion(FORMULA, statistics, classes, seed=seed)
