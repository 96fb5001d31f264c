"""Mean Dice over the classes of objects, without the background.

What it measures:
    Overlap of the organs or lesions, as medical papers print it. The background is easy and large: averaged in, it
    lifts a score of few classes most, and numbers with and without it are often printed in one table.

Definition:
    As `dice`, from the same counts, with the mean over the classes other than the background that occur in a target
    or a prediction. Pixels of the background stay in the counts: an object predicted there is a false positive. The
    background is the class declared to be it, or the one called `background`; where there is none, every class is in
    the mean.

When undefined:
    Where no class but the background occurs in any target or prediction.

Differs from:
    `dice`, which has the background in its mean: `with_background`. `per_image`: the mean over the classes of each
    image, then over images, as MONAI and most medical papers have it. `classes_of_images`: the mean over images of
    each class, then over classes.

Source:
    Dice, Ecology 26 (1945); MONAI, `DiceMetric(include_background=False)`.
"""

from __future__ import annotations

from bench.metrics._bootstrap import mean_of_defined
from bench.metrics._semantic import ConfusionMetric, TotalsFormula, class_dice
from bench.metrics.foreground_mean_iou import foreground_formula


def over_images(of_class: TotalsFormula) -> TotalsFormula:
    """Return the mean over images of each class, then over classes."""
    return lambda images: mean_of_defined(mean_of_defined(of_class(images), axis=0))


METRIC = ConfusionMetric(
    name="foreground_mean_dice",
    label="Dice fg",
    definition=(
        "mean over classes other than the background that occur of 2 true positives / (true + predicted pixels), "
        "counts pooled over images, void left out"
    ),
    formula=lambda classes: foreground_formula(classes, class_dice, classes_of_images=over_images),
)
