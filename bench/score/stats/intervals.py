"""Intervals of latencies: how far a number would move in another run.

Two kinds. Within one process, the interval of the median from order statistics, which assumes
nothing about the distribution. Over several processes, a hierarchical bootstrap: processes are
drawn first, because two workers differ in memory layout and thread placement for their whole life,
then contiguous blocks of samples, because neighbouring samples resemble one another.

Sources: David & Nagaraja, Order Statistics (2003), §7.1 (median); Davison & Hinkley, Bootstrap
Methods and their Application (1997), §3.8 (hierarchical); Künsch, Annals of Statistics 17 (1989)
(moving blocks); Searle, Casella & McCulloch, Variance Components (1992), §3.6 (one-way, unbalanced).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import exp, lgamma, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.percentiles import as_fraction

DRAWS = 2000
BLOCK = 10
"""Samples in a block of the bootstrap."""

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
    # Below the mean by more than ten standard deviations lies less probability than a rounding error.
    first = max(0, int(samples / 2 - 5 * sqrt(samples)))
    below = 0.0
    for k in range(first, samples + 1):
        log_ways = lgamma(samples + 1) - lgamma(k + 1) - lgamma(samples - k + 1)
        below += exp(log_ways - samples * log(2))
        if below > 0.025:
            return k
    return 0


def hierarchical_interval(
    processes: Sequence[NDArray[np.generic]], percent: float, *, seed: int, draws: int = DRAWS
) -> Interval:
    """Return the 95 % bootstrap interval of a percentile of the samples of all processes.

    Args:
        processes: Samples of each process in the order they were taken; none is empty.
        percent: Percentile between 0 and 100.
        seed: Of the resampling.
        draws: Number of resamples.
    """
    return central_interval(resampled_percentiles(processes, (percent,), seed=seed, draws=draws)[:, 0])


def central_interval(draws: NDArray[np.float64]) -> Interval:
    """Return the central 95 % of draws."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(low), float(high))


def resampled_percentiles(
    processes: Sequence[NDArray[np.generic]], percents: Sequence[float], *, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Return percentiles (upper nearest rank) of every resample, shape (draws, percentiles).

    A resample is held as how often each sample occurs in it: sorted once, its percentiles are read
    off the running sum of these weights, whatever the number of samples in the processes drawn.
    """
    pooled = np.concatenate([np.asarray(values, dtype=np.float64) for values in processes])
    order = np.argsort(pooled, kind="stable")
    ordered = pooled[order]
    found = []
    for weights in _sample_weights([len(values) for values in processes], seed=seed, draws=draws):
        running = np.cumsum(weights[:, order], axis=1, dtype=np.int32)  # (chunk, samples)
        columns = []
        for percent in percents:
            share = as_fraction(percent)
            rank = running[:, -1].astype(np.int64) * share.numerator // share.denominator
            columns.append(ordered[(running <= rank[:, None]).sum(axis=1)])
        found.append(np.stack(columns, axis=1))
    return np.concatenate(found)


def _sample_weights(sizes: Sequence[int], *, seed: int, draws: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each sample occurs in each resample, in chunks of shape (draws, samples)."""
    random = np.random.default_rng(seed)
    samples = sum(sizes)
    offsets = np.cumsum([0, *sizes])
    chunk = max(1, _CHUNK_WEIGHTS // samples)
    for first in range(0, draws, chunk):
        rows = min(chunk, draws - first)
        drawn = random.integers(0, len(sizes), size=(rows, len(sizes)))
        steps = np.zeros(rows * (samples + 1), dtype=np.int32)  # +1 where a block starts, -1 after its end
        for process, size in enumerate(sizes):
            row = np.repeat(np.arange(rows), (drawn == process).sum(axis=1))
            starts, lengths = _blocks(random, size, len(row))
            begin = row[:, None] * (samples + 1) + offsets[process] + starts
            steps += np.bincount(begin.ravel(), minlength=len(steps)).astype(np.int32)
            steps -= np.bincount((begin + lengths).ravel(), minlength=len(steps)).astype(np.int32)
        yield np.cumsum(steps.reshape(rows, samples + 1), axis=1, dtype=np.int32)[:, :samples]


def _blocks(random: np.random.Generator, size: int, times: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts, shape (times, blocks), and lengths, shape (blocks,), of blocks that make up `size` samples."""
    length = min(BLOCK, size)
    lengths = np.full(-(-size // length), length, dtype=np.int64)
    lengths[-1] = size - length * (len(lengths) - 1)
    return random.integers(0, size - length + 1, size=(times, len(lengths))), lengths


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
