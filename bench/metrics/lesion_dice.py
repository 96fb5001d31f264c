"""Lesion-wise Dice: overlap lesion by lesion, with misses and false alarms as zeros.

What it measures:
    Detection and outlines of separate regions of a class in one number, a small lesion weighing as much as a large
    one. Dice of the whole image hardly notices a small lesion.

Definition:
    Lesions are those of `lesion_f1`. The Dice coefficient of a true lesion is taken with all predicted regions that
    touch it: 2 x the pixels they share / (its pixels + theirs). The value of an image and class is the sum of these /
    (true lesions + predicted regions without a true pixel); the mean over the images where the class is true or
    predicted, then over classes without background.

When undefined:
    As `lesion_f1`.

Differs from:
    BraTS 2023 dilates the true lesions before it groups and matches them, and drops lesions below a size. `pooled`:
    sums over all images.

Source:
    Saluja et al., BraTS 2023 performance metrics (lesion-wise Dice); Kofler et al., blob loss, IPMI 2023.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, pooled_of
from bench.metrics.lesion_f1 import DICE, FALSE, TRUE, lesion_metric


def mean_lesion_dice(sums: Sums) -> NDArray[np.float64]:
    """Return the sum of the Dice coefficients over true lesions and false regions."""
    return ratio(sums[..., DICE], sums[..., TRUE] + sums[..., FALSE])


METRIC = lesion_metric(
    name="lesion_dice",
    label="lesion Dice",
    definition=(
        "mean over images and then classes without background of the sum over true lesions of Dice with all predicted "
        "regions that touch them / (true lesions + predicted regions without a true pixel), 8-connectivity"
    ),
    formula=mean_lesion_dice,
    over="images",
    dialects={"pooled": pooled_of(mean_lesion_dice)},
)
