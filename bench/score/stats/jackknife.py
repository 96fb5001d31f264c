"""Estimates how far a score would move with other images: it is computed anew with each of them left out.

The unit that is left out is the image, because pixels of one image are not independent, or the group (patient, scene,
film) where the data set has groups, because images of one group are not. Of many units, 500 random parts of them are
left out one after the other. The standard error, sqrt((n - 1) / n * sum of squared deviations), goes with Student's t
of n - 1 degrees of freedom. Where a class is in few images, resampling them would lose it now and then and tell too
small a spread; leaving each out once tells a larger one. For a mean over images this is exactly the t interval and the
paired t-test. How often it covers is simulated in `tests/benchmarks/bench_intervals.py`.

Sources: Tukey, Annals of Mathematical Statistics 29 (1958), 614; Efron & Stein, Annals of Statistics 9 (1981), 586-596
(its variance is too large rather than too small); Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter
11; Shao & Tu, The Jackknife and Bootstrap (1995), §2.3 (groups that are left out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.student import Estimate

MOST_UNITS = 500
"""Parts that images, or groups, are left out in, where there are more of them."""
FEW_GROUPS = 10
"""Fewest groups for an interval that is not rough: Student's t assumes that their shares of a score are normal."""

_GROUPS: ContextVar[tuple[str, ...]] = ContextVar("groups of images", default=())


@contextmanager
def left_out_together(groups: Sequence[str]) -> Iterator[None]:
    """Let the images of a group be left out together, meanwhile.

    Args:
        groups: Group of each image, in the order of the statistics; empty where every image stands for itself.
    """
    token = _GROUPS.set(tuple(groups))
    try:
        yield
    finally:
        _GROUPS.reset(token)


def units(images: int, *, seed: int) -> NDArray[np.int64]:
    """Return the unit that each image is left out with, shape (images,), numbered from 0.

    Equal seeds and numbers of images give equal units, for every metric and every model: values of two models with the
    same unit left out are paired.
    """
    groups = _GROUPS.get()
    if groups and len(groups) != images:
        raise ValueError(f"{len(groups)} images have groups, {images} are scored")
    of_image = np.unique(groups, return_inverse=True)[1] if groups else np.arange(images)
    count = int(of_image.max()) + 1 if images else 0
    if count > MOST_UNITS:
        part = np.arange(count) % MOST_UNITS
        np.random.default_rng(seed).shuffle(part)
        of_image = part[of_image]
    return np.asarray(of_image, dtype=np.int64)


def estimate(value: float, left_out: NDArray[np.float64]) -> Estimate | None:
    """Return a score, or a difference of two, with its standard error.

    Args:
        left_out: Scores with each unit left out, shape (units,); nan where it is then undefined.

    Returns:
        None unless it is defined with most units left out, and two at least.
    """
    defined = left_out[~np.isnan(left_out)]
    if defined.size < 2 or defined.size * 2 <= left_out.size:
        return None
    n = defined.size
    return Estimate(value, sqrt((n - 1) / n * float(((defined - defined.mean()) ** 2).sum())), n - 1)


def joint_draws(
    values: NDArray[np.float64], left_out: NDArray[np.float64], *, seed: int, draws: int
) -> NDArray[np.float64]:
    """Return what the scores of several models may be in the population, shape (models, draws).

    Draws are normal with the covariances that leaving out the same units tells, times a chi-squared variable for what
    those are not known of: each model's are Student's t around its score.

    Args:
        values: Scores of all images, shape (models,).
        left_out: Scores with each unit left out, shape (models, units).
    """
    n = left_out.shape[1]
    deviations = np.nan_to_num(left_out - np.nanmean(left_out, axis=1, keepdims=True))  # (models, units)
    random = np.random.default_rng(seed)
    normal = random.standard_normal((n, draws))
    scale = np.sqrt((n - 1) / random.chisquare(n - 1, draws))
    return np.asarray(values[:, None] + sqrt((n - 1) / n) * (deviations @ normal) * scale)


def estimates(left_out: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return standard errors and degrees of freedom of many scores or differences at once, as `estimate` does.

    Args:
        left_out: Scores with each unit left out, shape (n, units); nan where it is then undefined.

    Returns:
        Two arrays of shape (n,), nan where `estimate` returns None.
    """
    known = ~np.isnan(left_out)
    count = known.sum(axis=1)
    enough = (count >= 2) & (2 * count > left_out.shape[1])
    error, degrees = np.full(len(left_out), np.nan), np.full(len(left_out), np.nan)
    values, kept, n = left_out[enough], known[enough], count[enough].astype(np.float64)
    values = np.where(kept, values, 0.0)
    away = np.where(kept, values - (values.sum(axis=1) / n)[:, None], 0.0)
    error[enough], degrees[enough] = np.sqrt((n - 1) / n * (away * away).sum(axis=1)), n - 1
    return error, degrees
