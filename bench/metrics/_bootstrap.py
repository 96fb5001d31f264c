"""Tells how far a score would move with other images: the bootstrap over images.

The unit that is drawn is the image, because pixels of one image are not independent. Every metric
draws the same images for the same seed and number of images, so that draws of two models can be
subtracted from one another (a paired comparison).

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), §13.3 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
"""Resamples per interval; the ends of a 95 % interval then repeat to a twentieth of its width."""

_CHUNK_WEIGHTS = 2_000_000
"""Weights held at once, so that memory does not grow with draws × images."""


class Interval(NamedTuple):
    """Two ends of an interval, in the unit of the value; None where it is undefined."""

    low: float | None
    high: float | None


def image_weights(images: int, *, seed: int, draws: int = DRAWS) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is drawn, in chunks of shape (draws in chunk, images).

    Every row sums to `images`: it is one resample with replacement.
    """
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_WEIGHTS // max(1, images))
    for first in range(0, draws, chunk):
        rows = min(chunk, draws - first)
        drawn = random.integers(0, images, size=(rows, images))
        drawn += np.arange(rows)[:, None] * images
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def resampled_sums(statistics: NDArray[np.int64] | NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Sum the statistics of each resample of the images.

    Args:
        statistics: One row per image, shape (N, ...).
        seed: Seed of the resampling.

    Returns:
        Sums, shape (DRAWS, ...); exact, because they stay far below 2^53.
    """
    images, shape = len(statistics), statistics.shape[1:]
    flat = statistics.reshape(images, -1).astype(np.float64)
    return np.concatenate([weights @ flat for weights in image_weights(images, seed=seed)]).reshape(-1, *shape)


def percentile_interval(draws: NDArray[np.float64]) -> Interval:
    """Return the central 95 % of the defined draws; undefined unless most draws are defined."""
    defined = draws[~np.isnan(draws)]
    if defined.size * 2 <= draws.size:
        return Interval(None, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high))


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
