"""Intervals of latencies within one process: how far a number would move if that process had gone on.

The interval of the median from order statistics assumes nothing about the distribution. That of another percentile is
a bootstrap over contiguous blocks of samples, because neighbouring samples resemble one another. What other processes
would show is not in them: see `processes`.

Sources: David & Nagaraja, Order Statistics (2003), §7.1 (median); Künsch, Annals of Statistics 17 (1989) (moving
blocks); Searle, Casella & McCulloch, Variance Components (1992), §3.6 (one-way, unbalanced).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.percentiles import as_fraction, first_above

DRAWS = 2000
BLOCK = 10
"""Samples in a block of the bootstrap."""

_MAX_DRAWN = 40_000_000
_CHUNK_WEIGHTS = 100_000
"""Weights held at once: few enough to stay in the second-level cache."""


class Interval(NamedTuple):
    """Two ends of a 95 % interval, in the unit of the values."""

    low: float
    high: float


class Variance(NamedTuple):
    """Variance of a sample, split by where it comes from, in the squared unit of the values."""

    between: float
    within: float


def median_interval(values: Sequence[float] | NDArray[np.generic]) -> Interval | None:
    """Return the distribution-free 95 % interval of the median; None below 6 values.

    The ends are the k-th smallest and the k-th largest value, with the largest k for which
    P[Bin(n, 1/2) < k] <= 2.5 %.

    >>> median_interval([7, 1, 2, 3, 4, 5, 6, 9, 8])
    Interval(low=2.0, high=8.0)
    """
    rank = _median_rank(len(values))
    if rank == 0:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return Interval(float(ordered[rank - 1]), float(ordered[-rank]))


@lru_cache(maxsize=1024)
def _median_rank(samples: int) -> int:
    """Largest k with P[Bin(n, 1/2) < k] <= 2.5 %; 0 if there is none."""
    return first_above(samples, 0.5, 0.025) or 0


def block_interval(values: NDArray[np.generic], percent: float, *, seed: int) -> Interval:
    """Return the 95 % bootstrap interval of a percentile (upper nearest rank) of the samples of one process.

    Args:
        values: Samples in the order in which they were taken, at least one.
        percent: Percentile between 0 and 100.
    """
    # Hours of samples need fewer draws.
    draws = min(DRAWS, max(200, _MAX_DRAWN // len(values)))
    return central_interval(_block_draws(np.asarray(values, dtype=np.float64), percent, seed=seed, draws=draws))


def central_interval(draws: NDArray[np.float64]) -> Interval:
    """Return the central 95 % of draws."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(low), float(high))


def _block_draws(values: NDArray[np.float64], percent: float, *, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Return the percentile of every resample, shape (draws,).

    A resample is held as how often each sample occurs in it: sorted once, its percentile is read off the running sum
    of these weights.
    """
    share, order = as_fraction(percent), np.argsort(values, kind="stable")
    rank = len(values) * share.numerator // share.denominator
    found = []
    for weights in _block_weights(len(values), seed=seed, draws=draws):
        running = np.cumsum(weights[:, order], axis=1, dtype=np.int32)  # (chunk, samples)
        found.append(values[order][(running <= rank).sum(axis=1)])
    return np.concatenate(found)


def _block_weights(size: int, *, seed: int, draws: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each sample occurs in each resample, in chunks of shape (draws, samples)."""
    random = np.random.default_rng(seed)
    length = min(BLOCK, size)
    lengths = np.full(-(-size // length), length, dtype=np.int64)
    lengths[-1] = size - length * (len(lengths) - 1)
    chunk = max(1, _CHUNK_WEIGHTS // size)
    for first in range(0, draws, chunk):
        rows = min(chunk, draws - first)
        starts = random.integers(0, size - length + 1, size=(rows, len(lengths)))
        begin = np.arange(rows)[:, None] * (size + 1) + starts
        # +1 where a block starts, -1 after its end
        steps = np.bincount(begin.ravel(), minlength=rows * (size + 1))
        steps -= np.bincount((begin + lengths).ravel(), minlength=rows * (size + 1))
        yield np.cumsum(steps.reshape(rows, size + 1), axis=1, dtype=np.int32)[:, :size]


def variance_components(processes: Sequence[NDArray[np.generic]]) -> Variance | None:
    """Split the variance of samples into between and within processes, by analysis of variance.

    Returns:
        None for fewer than two processes or two samples in one. `between` is 0 where the processes
        differ by no more than their samples explain.
    """
    if len(processes) < 2 or min(len(values) for values in processes) < 2:
        return None
    groups = [np.asarray(values, dtype=np.float64) for values in processes]
    sizes = np.array([len(group) for group in groups])
    means = np.array([group.mean() for group in groups])
    total, grand = sizes.sum(), float((sizes * means).sum() / sizes.sum())
    within = sum(float(((group - mean) ** 2).sum()) for group, mean in zip(groups, means, strict=True))
    mean_square_within = within / (total - len(groups))
    mean_square_between = float((sizes * (means - grand) ** 2).sum()) / (len(groups) - 1)
    typical_size = (total - (sizes**2).sum() / total) / (len(groups) - 1)
    return Variance(max(0.0, float((mean_square_between - mean_square_within) / typical_size)), mean_square_within)
