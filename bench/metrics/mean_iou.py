"""Mean intersection over union: the headline of semantic segmentation.

What it measures:
    How well the predicted area of each class covers its true area, every class weighing the same
    however rare it is.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    IoU = true positives / (true pixels + predicted pixels - true positives). The mean runs over the classes whose
    union is not empty, so a class that is predicted but never true scores 0 and lowers the mean.
    A prediction that names no class costs its true class and blames no other.

When undefined:
    A class without a true and without a predicted pixel has no value and leaves the mean; without
    any such class there is no mean. `classes_scored` says how many classes entered it.

Differs from:
    `present_in_target`: Detectron2's `SemSegEvaluator` and Ultralytics' `SemanticMetrics` average
    over classes that occur in the target, so hallucinated classes are free.
    `absent_is_one`: PaddleSeg, and segmentation_models_pytorch with `zero_division=1`.
    `absent_is_zero`: mmsegmentation with `nan_to_num=0`, smp with `zero_division=0`.
    `per_image`: torchmetrics' `MeanIoU` and smp's `-imagewise` reductions average over the classes
    of each image, then over images. `micro`: smp's reduction of that name pools the classes too.
    `frequency_weighted`: classes weigh as often as they are true (see `frequency_weighted_iou`).
    torchvision's reference divides 0 by 0 and prints nan. mmsegmentation and torchmetrics count or
    divide in 32-bit floats and differ by about 3e-8. cityscapesScripts also counts target pixels
    predicted as one of *its* ignored classes; with K train ids there are none.

Source:
    Everingham et al., The Pascal VOC Challenge, IJCV 2010, §4.2; mmsegmentation 1.2.2,
    `evaluation/metrics/iou_metric.py`; cityscapesScripts, `evalPixelLevelSemanticLabeling.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    TotalsFormula,
    class_iou,
    class_mean,
    mean_where,
    micro,
    over_dataset,
    per_image,
)


def absent_is(value: float) -> TotalsFormula:
    """Return the mean IoU over all classes, with a value for those that occur nowhere."""
    return lambda totals: np.asarray(np.nan_to_num(class_iou(totals), nan=value).mean(axis=-1))


def frequency_weighted(totals: ClassTotals) -> NDArray[np.float64]:
    """Return the IoU averaged with each class's share of the true pixels as its weight."""
    weighted = totals.target * np.nan_to_num(class_iou(totals), nan=0.0)
    return ratio(weighted.sum(axis=-1), totals.target.sum(axis=-1))


METRIC = ConfusionMetric(
    name="mean_iou",
    label="mIoU",
    definition="mean over classes with a union > 0 of true positives / union, counts pooled over images, void left out",
    formula=Formula(
        headline=class_mean(class_iou),
        undefined_because="no class occurs in any target or prediction",
        per_class=class_iou,
        dialects={
            "present_in_target": over_dataset(mean_where(class_iou, lambda totals: totals.target > 0)),
            "absent_is_one": over_dataset(absent_is(1.0)),
            "absent_is_zero": over_dataset(absent_is(0.0)),
            "per_image": per_image(class_mean(class_iou)),
            "micro": over_dataset(micro(class_iou)),
            "frequency_weighted": over_dataset(frequency_weighted),
        },
    ),
)
