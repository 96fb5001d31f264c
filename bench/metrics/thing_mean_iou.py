"""Mean intersection over union of the countable classes: instance and semantic models on one axis.

What it measures:
    How well the area of each thing class is covered. An instance model predicts things and says
    nothing of sky or road; over all classes it is charged for what it was never asked for. Over
    things alone it stands beside models that label every pixel.

Definition:
    As `mean_iou`, from the same counts, with the mean over the thing classes that have a union.
    Pixels of stuff stay in the counts: a thing predicted where the ground truth is stuff is a false
    positive. Only void pixels of the target are left out.

When undefined:
    Where the label space has no things, or none occurs in any target or prediction.

Differs from:
    Evaluating on the pixels that are truly things (a common shortcut) forgives every thing that is
    painted over stuff. torchvision's COCO-to-VOC conversion marks overlaps as void instead of
    letting the surest instance win. Detectron2's semantic score of Panoptic FPN has all things as
    one class.

Source:
    As `mean_iou`; the split into things and stuff is Kirillov et al., Panoptic Segmentation, CVPR 2019, §3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.metrics._bootstrap import mean_of_defined
from bench.metrics._semantic import (
    ClassTotals,
    Formula,
    bootstrap_confusion,
    class_iou,
    observe_confusion,
    score_confusion,
)
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction


def formula(classes: Sequence[ClassSpec]) -> Formula:
    """Return the formula for a label space."""
    things = np.array([spec.is_thing for spec in classes])

    def thing_iou(totals: ClassTotals) -> NDArray[np.float64]:
        return np.where(things, class_iou(totals), np.nan)

    return Formula(
        headline=lambda totals: mean_of_defined(thing_iou(totals)),
        undefined_because="no thing class occurs in any target or prediction"
        if things.any()
        else "the label space has no thing classes",
        per_class=thing_iou,
    )


class Metric:
    """Mean IoU over thing classes with a union, pooled over the data set."""

    name = "thing_mean_iou"
    version = 1
    label = "thing mIoU"
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better = True
    statistic = CONFUSION
    definition = (
        "mean over thing classes with a union > 0 of true positives / union, counts pooled over images, stuff pixels "
        "count as background, void left out"
    )

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Confusion counts of one image, shape (K, K + 1)."""
        return observe_confusion(target, predicted, classes)

    def score(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the counts of all images, shape (N, K, K + 1)."""
        return score_confusion(self, formula(classes), statistics, classes, seed=seed)

    def bootstrap(
        self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Headline for each resample of the images, shape (draws,)."""
        return bootstrap_confusion(formula(classes), statistics, classes, seed=seed)
