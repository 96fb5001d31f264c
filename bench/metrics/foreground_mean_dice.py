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

from collections.abc import Sequence

from bench.metrics._bootstrap import mean_of_defined
from bench.metrics._foreground import foreground_formula
from bench.metrics._semantic import ConfusionMetric, Formula, class_dice
from bench.records import ClassSpec


def formula(classes: Sequence[ClassSpec]) -> Formula:
    """Return the formula for a label space."""
    return foreground_formula(
        classes,
        class_dice,
        lambda of_objects: {
            "classes_of_images": lambda images: mean_of_defined(mean_of_defined(of_objects(images), axis=0))
        },
    )


METRIC = ConfusionMetric(
    name="foreground_mean_dice",
    version=1,
    label="Dice fg",
    definition=(
        "mean over classes other than the background that occur of 2 true positives / (true + predicted pixels), "
        "counts pooled over images, void left out"
    ),
    formula=formula,
)
