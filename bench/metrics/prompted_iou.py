"""Class-agnostic mean intersection over union: how well a model outlines the objects it is pointed to.

What it measures:
    Masks alone. The model is shown an object by a point or a box made from the ground truth and answers
    with its mask; it neither finds nor names anything. Such a score is an oracle's and stands in a
    table of its own: a model that must find its objects has no comparable number.

Definition:
    IoU of each true object with the mask that was made from its own prompt, over all pixels of the
    image; the mean over all objects of all images. Classes play no part and no matching takes
    place. Crowds and objects of which nothing is visible have no prompt and are left out; an empty
    mask scores 0. The prompts are those of `bench/records/prompts.py`.

When undefined:
    Where no image has an object.

Differs from:
    A class-aware `mean_iou` pools pixels per class; here a small object weighs as much as a large
    one. COCO's AP matches masks to objects and counts those above a threshold. Segment Anything's
    "oracle" takes the best of three masks by the ground truth; here the model chooses its mask itself. Void
    pixels of a semantic ground truth are not of any object and count as such. `per_image`: the mean over
    the objects of each image, then over images. Parts: objects by area, with COCO's limits.

Source:
    Kirillov et al., Segment Anything, ICCV 2023, §7.1 (mIoU over masks of single-point prompts).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metric import Rows
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._objects import SIZES, in_range
from bench.metrics._pooled import OfSums, require_columns
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction, PromptedMasks

NUMBER, IOU, AREA = range(3)
"""Columns of stored rows: number of the image, IoU of an object, its area in pixels.

An image without objects has one row, whose IoU is nan."""


class PromptedIou(OfSums):
    """Mean over objects of the IoU of the mask made from an object's own prompt."""

    name = "prompted_iou"
    version = 1
    label = "class-agnostic mIoU"
    tasks: tuple[TaskKind, ...] = ("prompted",)
    higher_is_better = True
    statistic = "prompted"
    definition = (
        "mean over the true objects of all images of the IoU with the mask made from the object's own prompt, which "
        "comes from the ground truth; no classes, no matching, crowds left out"
    )

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:  # noqa: ARG002
        """Return the IoU and area of each object of one image, float64, (objects, 2), or (1, 2) without objects.

        Raises:
            ShapeError: For another form, another size, or another number of masks than objects.
        """
        if not isinstance(target, PromptedMasks) or not isinstance(predicted, PromptedMasks):
            raise ShapeError(
                f"prompted_iou compares masks of prompts, not {type(target).__name__} and {type(predicted).__name__}"
            )
        if target.masks.shape != predicted.masks.shape:
            raise ShapeError(
                f"the target has masks of shape {target.masks.shape} and the prediction of {predicted.masks.shape}; a "
                "model returns one mask per prompt, at the original image size. See adapters/README.md, rules 3 and 4."
            )
        if not len(target.masks):
            return Rows(np.array([[np.nan, 0.0]]))
        both = (target.masks & predicted.masks).sum(axis=(1, 2))
        either = (target.masks | predicted.masks).sum(axis=(1, 2))
        return Rows(np.stack([ratio(both, either), target.masks.sum(axis=(1, 2)).astype(np.float64)], axis=1))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Return the score of the rows of all images, shape (rows, 3)."""
        sums = self.addends(statistics, classes)
        ious, areas = statistics[:, IOU], statistics[:, AREA]
        within = {name: in_range(areas, name) for name in SIZES}
        return build_score(
            self,
            value=defined(mean_of_defined(ious)),
            undefined_because="no image has an object",
            draws=self.bootstrap(statistics, classes, seed=seed),
            per_class=None,
            classes=classes,
            images=len(sums),
            dialects={"per_image": defined(mean_of_defined(ratio(sums[:, 0], sums[:, 1])))},
            parts={f"IoU_{name}": defined(mean_of_defined(ious[chosen])) for name, chosen in within.items()},
        )

    def addends(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the sum of IoUs and the number of objects of each image, (N, 2)."""
        require_columns(statistics, 3)
        numbers, seen = statistics[:, NUMBER].astype(np.int64), ~np.isnan(statistics[:, IOU])
        sums = np.bincount(numbers, weights=np.where(seen, statistics[:, IOU], 0.0))
        return np.stack([sums, np.bincount(numbers, weights=seen.astype(np.float64))], axis=1)

    def headline(self, sums: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the mean over objects, nan without any."""
        return ratio(sums[..., 0], sums[..., 1])


METRIC = PromptedIou()
