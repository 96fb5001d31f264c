"""Sums and values of all images but some, for the interval of a score: see `bench.score.stats.jackknife`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.jackknife import MOST_UNITS, estimate, units

DRAWS = MOST_UNITS
"""Most values that a score is computed anew for, each with other images left out."""


class Interval(NamedTuple):
    """Two ends of an interval and the standard error behind it, in the unit of the value; None where undefined."""

    low: float | None
    high: float | None
    error: float | None = None


class LeftOut(NamedTuple):
    """Images that are left out together, one unit of them after the other.

    Attributes:
        of_image: Unit that each image is left out with, -1 for one that never is, int64, (images,).
        total: Number of units.
    """

    of_image: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, images: int, *, seed: int) -> LeftOut:
        """Return each unit of the images; a single one cannot be left out, so that all are kept."""
        of_image = units(images, seed=seed)
        count = int(of_image.max()) + 1
        return cls.nothing(images) if count == 1 else cls(of_image, count)

    @classmethod
    def nothing(cls, images: int) -> LeftOut:
        """Return one unit without an image."""
        return cls(np.full(images, -1, dtype=np.int64), 1)

    def sums(self, of_image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a number of each image, (images,), over all images but those of each unit, (units,)."""
        known = self.of_image >= 0
        own = np.bincount(self.of_image[known], weights=of_image[known], minlength=self.total)
        return np.asarray(of_image.sum() - own)


def resampled_sums(statistics: NDArray[np.int64] | NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Sum the statistics of all images but those of each unit.

    Args:
        statistics: One row per image, shape (N, ...).

    Returns:
        Sums, shape (units, ...); exact for counts, because they stay far below 2^53.
    """
    of_image = units(len(statistics), seed=seed)
    count = int(of_image.max()) + 1
    if count == len(statistics):
        sums = np.asarray(statistics[np.argsort(of_image)], dtype=np.float64)
    else:
        sums = np.zeros((count, *statistics.shape[1:]), dtype=np.float64)
        np.add.at(sums, of_image, statistics)
    total = sums.sum(axis=0)
    return np.asarray(total[None] if count == 1 else total - sums)


def left_out_interval(
    value: float, left_out: NDArray[np.float64], bounds: tuple[float | None, float | None]
) -> Interval:
    """Return the 95 % interval of a score, cut to the values that it can take.

    Args:
        left_out: Score with each unit left out, (units,).
        bounds: The smallest and the largest value, None = no limit.
    """
    found = estimate(value, left_out)
    if found is None:
        return Interval(None, None)
    low, high = value - found.half(), value + found.half()
    return Interval(
        low if bounds[0] is None else max(low, bounds[0]),
        high if bounds[1] is None else min(high, bounds[1]),
        found.error,
    )


def ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide, with nan where the denominator is zero, so that 0/0 is undefined and not a number."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    quotient: NDArray[np.float64] = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of_defined(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Return the average over an axis, leaving nan out; nan where nothing is left."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=axis), defined.sum(axis=axis))
