"""Recall of pixels.

What it measures:
    Of the pixels that truly are of a class, the share that is found.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    recall = true positives / true pixels; a prediction that names no class counts as missed. The mean runs
    over the classes that are true somewhere.

When undefined:
    A class that is in no target has no recall and leaves the mean.

Differs from:
    `never_true_is_zero`: torchmetrics' macro recall counts a class that is predicted but never true as
    0 and leaves out only classes that occur nowhere. `micro` is the pixel accuracy. The mean is
    what other toolboxes print as mean accuracy (see `mean_accuracy`).

Source:
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mRecall).
"""

from bench.metrics._semantic import ConfusionMetric, Formula, class_mean, class_recall, mean_where, micro, over_dataset

METRIC = ConfusionMetric(
    name="recall",
    label="Recall",
    definition=(
        "mean over classes in a target of true positives / true pixels, counts pooled over images, void left out"
    ),
    formula=Formula(
        headline=class_mean(class_recall),
        undefined_because="every pixel of every target is void",
        per_class=class_recall,
        dialects={
            "never_true_is_zero": over_dataset(mean_where(class_recall, lambda totals: totals.union > 0)),
            "micro": over_dataset(micro(class_recall)),
        },
    ),
)
