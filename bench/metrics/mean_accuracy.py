"""Mean class accuracy (mAcc).

What it measures:
    The share of right pixels, computed per true class and then averaged: accuracy in which a rare
    class weighs as much as a common one.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class, accuracy =
    true positives / true pixels. The mean runs over the classes that are true somewhere. It is the mean
    recall under the name that toolboxes print it by.

When undefined:
    A class that is in no target has no accuracy and leaves the mean.

Differs from:
    The same number as mmsegmentation's mAcc and Detectron2's mACC. PaddleSeg's "Acc" per class
    divides by the predicted pixels and is a precision. The one-against-rest accuracy of smp and
    torchmetrics counts true negatives and is far higher. `per_image` averages over images.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (mean accuracy);
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mAcc).
"""

from bench.metrics._semantic import ConfusionMetric, Formula, class_mean, class_recall, per_image

METRIC = ConfusionMetric(
    name="mean_accuracy",
    label="mAcc",
    definition="mean over classes in a target of the share of their pixels that are right, counts pooled over images",
    formula=Formula(
        headline=class_mean(class_recall),
        undefined_because="every pixel of every target is void",
        per_class=class_recall,
        dialects={"per_image": per_image(class_mean(class_recall))},
    ),
)
