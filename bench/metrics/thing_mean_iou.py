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

from bench.metrics._semantic import ConfusionMetric, Formula, among, class_iou, class_mean
from bench.records import ClassSpec


def formula(classes: Sequence[ClassSpec]) -> Formula:
    """Return the formula for a label space."""
    things = np.array([spec.is_thing for spec in classes])
    nowhere, none = "no thing class occurs in any target or prediction", "the label space has no thing classes"
    thing_iou = among(things, class_iou)
    return Formula(class_mean(thing_iou), nowhere if things.any() else none, per_class=thing_iou)


METRIC = ConfusionMetric(
    name="thing_mean_iou",
    label="thing mIoU",
    definition=(
        "mean over thing classes with a union > 0 of true positives / union, counts pooled over images, stuff "
        "pixels count as background, void left out"
    ),
    formula=formula,
)
