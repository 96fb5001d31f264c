"""Dice coefficient, which is the F1 score of pixels.

What it measures:
    Overlap of predicted and true area per class: the harmonic mean of precision and recall.

Definition:
    Counts are pooled over all images, void pixels of the target left out. For each class,
    Dice = 2 true positives / (true pixels + predicted pixels) = 2 IoU / (1 + IoU). The mean runs over the
    classes that occur in a target or a prediction.

When undefined:
    A class without a true and without a predicted pixel has no value and leaves the mean; without
    any such class there is no mean.

Differs from:
    Mean Dice is not 2 mIoU / (1 + mIoU): the identity holds per class only.
    `per_image`: Carvana, smp's `-imagewise` reductions and most medical papers average over images,
    here over the images and classes that have a value. `micro`: smp's reduction of that name.
    `present_in_target`: averages over classes that occur in the target. PaddleSeg gives 0 to an
    absent class. Generalised Dice weighs classes by 1 / area^2 and is another quantity. Soft Dice
    (a loss) uses probabilities.

Source:
    Dice, Measures of the Amount of Ecologic Association Between Species, Ecology 26 (1945);
    mmsegmentation 1.2.2, `evaluation/metrics/iou_metric.py` (mDice, mFscore with beta = 1).
"""

from bench.metrics._semantic import (
    ConfusionMetric,
    Formula,
    class_dice,
    class_mean,
    mean_where,
    micro,
    over_dataset,
    per_image,
)

METRIC = ConfusionMetric(
    name="dice",
    label="Dice",
    definition=(
        "mean over classes that occur of 2 true positives / (true + predicted pixels), counts pooled, void left out"
    ),
    formula=Formula(
        headline=class_mean(class_dice),
        undefined_because="no class occurs in any target or prediction",
        per_class=class_dice,
        dialects={
            "present_in_target": over_dataset(mean_where(class_dice, lambda totals: totals.target > 0)),
            "per_image": per_image(class_mean(class_dice)),
            "micro": over_dataset(micro(class_dice)),
        },
    ),
)
