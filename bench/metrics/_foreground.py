"""Means over the classes of objects, without the background; `foreground_mean_iou` and `foreground_mean_dice`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import mean_of_defined
from bench.metrics._semantic import ClassTotals, Formula, TotalsFormula, over_dataset, per_image
from bench.records import ClassSpec, background_class


def foreground_formula(
    classes: Sequence[ClassSpec],
    scores: TotalsFormula,
    further: Callable[[TotalsFormula], Mapping[str, TotalsFormula]] = lambda _: {},
) -> Formula:
    """Return the mean over the classes other than the background.

    Args:
        classes: The label space; where none of them is the background, every class is in the mean.
        scores: Formula that returns the score of each class.
        further: Scores without the background -> dialects beside `with_background` and `per_image`.
    """
    background = background_class(classes)
    foreground = np.array([class_id != background for class_id in range(len(classes))])

    def of_objects(totals: ClassTotals) -> NDArray[np.float64]:
        return np.where(foreground, scores(totals), np.nan)

    def mean(totals: ClassTotals) -> NDArray[np.float64]:
        return mean_of_defined(of_objects(totals))

    return Formula(
        headline=mean,
        undefined_because="no class but the background occurs in any target or prediction",
        per_class=of_objects,
        dialects={
            "with_background": over_dataset(lambda totals: mean_of_defined(scores(totals))),
            "per_image": per_image(mean),
            **further(of_objects),
        },
    )
