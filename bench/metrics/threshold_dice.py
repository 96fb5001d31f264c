"""Dice of each class at a threshold that was chosen on the validation split.

What it measures:
    How well a class is segmented where it is called from a threshold on instead of by the highest probability, with
    the threshold chosen as a user would have to: without the scored images.

Definition:
    Classes are asked one-versus-rest: a pixel is called of a class where its probability is at least tau, so that a
    pixel can be of several classes or of none. Counts are pooled over all images, void left out. Tau of each class is
    the level of 256 with the best Dice (and so the best IoU: one rises with the other) on the validation split, whose
    probabilities are kept beside those of the test split; the smallest of equals. It is stated in the record and the
    report. Where there is no validation split apart from the scored one, or predictions are files, tau is 0.5, which is
    said. The headline is the mean over the classes without the background. Parts: `at tau 0.5`, and `best on these
    images`, which chooses tau on the scored images themselves: an upper bound, not a result.

    Dice = 2 true positives / (called + true pixels).

When undefined:
    A class that is neither true nor called anywhere has no value.

Differs from:
    Papers that report the best threshold of the test set itself: that is `best on these images` here. `dice`
    gives each pixel to one class, the highest, and pools over the same pixels.

Source:
    Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML PKDD 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._probabilities import POSITIVE, Counts, Observe, ProbabilityMetric, above, class_levels
from bench.records import ClassSpec, background_class
from bench.records.predictions import Prediction
from bench.records.probabilities import LEVELS, ClassProbabilities

Sums: TypeAlias = NDArray[np.float64]
"""Pixels of each class, (..., K, 5)."""

TRUE_POSITIVES, CALLED, TRUE, TRUE_POSITIVES_AT_HALF, CALLED_AT_HALF = range(5)
HALF = LEVELS // 2
"""The lowest level that is a probability of at least 0.5."""


def best_levels(counts: Counts) -> NDArray[np.int64]:
    """Return the level from which calling each class has the best Dice, the smallest of equals, (K,).

    Args:
        counts: Pixels by level, of all images of the validation split, (K, 256, 2).

    A class that is never true there says nothing about thresholds and keeps 0.5.
    """
    called = above(np.asarray(counts, dtype=np.float64))
    true_positives, true = called[..., POSITIVE], counts[..., POSITIVE].sum(axis=-1)[:, None]
    dice = np.nan_to_num(ratio(2 * true_positives, called.sum(axis=-1) + true))
    # Level 0 calls every pixel whatever it says: no threshold.
    chosen = 1 + dice[:, 1:].argmax(axis=-1)
    return np.where(true[:, 0] > 0, chosen, HALF)


def sums_at(counts: Counts, levels: NDArray[np.int64]) -> Sums:
    """Return what calling each class from its level on comes to, (K, 5), from pixels by level, (K, 256, 2)."""
    called = above(counts)
    rows = np.arange(len(counts))
    sums = np.empty((len(counts), 5), dtype=np.float64)
    for column, level in ((TRUE_POSITIVES, levels), (TRUE_POSITIVES_AT_HALF, np.full_like(levels, HALF))):
        sums[:, column] = called[rows, level, POSITIVE]
        sums[:, column + 1] = called[rows, level].sum(axis=-1)
    sums[:, TRUE] = counts[..., POSITIVE].sum(axis=-1)
    return sums


def dice_at_threshold(sums: Sums) -> NDArray[np.float64]:
    """Return the Dice of each class, (..., K); nan where it is neither true nor called."""
    true_positives, called, true = sums[..., TRUE_POSITIVES], sums[..., CALLED], sums[..., TRUE]
    return ratio(2 * true_positives, called + true)


TAUS = tuple(range(5, LEVELS, 5))
"""Levels of a curve."""


def curve(counts: Sums, classes: Sequence[ClassSpec]) -> list[tuple[float, float, float]]:
    """Return (tau, IoU, Dice) for a curve: means over classes without background, one tau for all of them.

    Args:
        counts: Pixels by level, (K, 256, 2).
    """
    nothing = background_class(classes)
    kept = np.array([class_id != nothing for class_id in range(len(classes))])
    found = []
    for level in TAUS:
        sums = sums_at(np.asarray(counts, dtype=np.float64), np.full(len(classes), level))
        dice = np.where(kept, dice_at_threshold(sums), np.nan)
        if not np.isnan(dice).all():
            found.append((level / (LEVELS - 1), float(np.nanmean(dice / (2 - dice))), float(np.nanmean(dice))))
    return found


@dataclass(frozen=True, kw_only=True)
class ThresholdMetric(ProbabilityMetric):
    """A metric of classes that are called from a threshold on, which is chosen on the validation split.

    What an image comes to is counted at the chosen thresholds, so that scores, intervals and comparisons need none of
    their own; folds, whose thresholds differ, can be pooled.

    Attributes:
        levels: Level of the threshold of each class; empty: 0.5 for all.
    """

    levels: tuple[int, ...] = ()
    statistic: str = "called_from_threshold"
    observed: Observe = class_levels
    shape: Callable[[int], tuple[int, ...]] = lambda classes: (classes, 5)
    per_class: bool = True
    foreground: bool = True
    undefined_because: str = "no class but the background is true or called anywhere"

    def observe_probabilities(
        self, target: Prediction, predicted: Prediction, probabilities: ClassProbabilities, classes: Sequence[ClassSpec]
    ) -> NDArray[np.int64]:
        """Count what is called at the thresholds, (K, 5)."""
        return self.of_levels(class_levels(target, predicted, probabilities, classes))

    def of_levels(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what is called at the thresholds, (K, 5), of pixels by level, (K, 256, 2)."""
        levels = np.array(self.levels or (HALF,) * len(counts), dtype=np.int64)
        return sums_at(np.asarray(counts, dtype=np.float64), levels).astype(np.int64)

    def chosen_at(self, levels: Sequence[int]) -> ThresholdMetric:
        """Return the metric at the levels that were chosen."""
        return replace(self, levels=tuple(int(level) for level in levels))

    def best_on(self, counts: Counts, classes: Sequence[ClassSpec]) -> float | None:
        """Return the headline at the thresholds that are best on the scored images themselves: an upper bound."""
        value = float(self.headline(sums_at(counts, best_levels(counts)), classes))
        return None if np.isnan(value) else value


def at_half(formula: Callable[[Sums], NDArray[np.float64]]) -> Callable[[Sums], NDArray[np.float64]]:
    """Return a formula, (..., K, 5) -> (..., K), at a threshold of 0.5 for every class."""
    columns = [TRUE_POSITIVES_AT_HALF, CALLED_AT_HALF, TRUE, TRUE_POSITIVES_AT_HALF, CALLED_AT_HALF]
    return lambda sums: formula(sums[..., columns])


METRIC = ThresholdMetric(
    name="threshold_dice",
    label="Dice at tau",
    definition=(
        "mean over classes without background of 2 true positives / (called + true pixels), one-versus-rest, "
        "called from the class's tau on, counts pooled over images, void left out"
    ),
    formula=dice_at_threshold,
    parts={"at tau 0.5": at_half(dice_at_threshold)},
)
