"""Precision of pixels.

What it measures:
    Of the pixels predicted as a class, the share that truly is of it.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    precision = true positives / predicted pixels. The mean runs over the classes that are predicted at all.

When undefined:
    A class that is never predicted has no precision and leaves the mean.

Differs from:
    `never_predicted_is_zero`: torchmetrics' and scikit-learn's macro precision count a class that is
    true but never predicted as 0 and leave out only classes that occur nowhere. PaddleSeg prints
    this quantity as the class's "Acc". `micro` counts every prediction that names a class alike.

Source:
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mPrecision).
"""

from bench.metrics._semantic import (
    ConfusionMetric,
    Formula,
    class_mean,
    class_precision,
    mean_where,
    micro,
    over_dataset,
)

METRIC = ConfusionMetric(
    name="precision",
    label="Precision",
    definition=(
        "mean over predicted classes of true positives / predicted pixels, counts pooled over images, void left out"
    ),
    formula=Formula(
        headline=class_mean(class_precision),
        undefined_because="no class is predicted on any pixel that is scored",
        per_class=class_precision,
        dialects={
            "never_predicted_is_zero": over_dataset(mean_where(class_precision, lambda totals: totals.union > 0)),
            "micro": over_dataset(micro(class_precision)),
        },
    ),
)
