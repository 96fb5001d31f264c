"""Intervals and comparisons of latencies over processes, of which there are few.

Two processes of one program differ for their whole life, by memory layout and placement of threads, so that the
process is the unit and its percentile one observation; more samples of the same processes do not help. Three or six
observations are too few to resample: a bootstrap of them is too narrow. What is known of few normal observations is
Student's t, here of the logarithms, so that a difference is a ratio.

A percentile of all requests, other than the median, is also moved by how much processes differ: the slow ones make the
tail. Its interval follows from a generalised pivotal quantity: standard deviation and mean of the processes are drawn
as the observations leave them open (a chi-squared and a normal variable), and each drawn pair gives the percentile of
requests whose own spread lies on top of such processes. Without a spread within processes this is the exact interval
of a normal quantile (the non-central t), without one between them that of the mean percentile. How often the true value
is covered is simulated in `tests/benchmarks/bench_intervals.py`.

Sources: Student, Biometrika 6 (1908); Welch, Biometrika 34 (1947); Weerahandi, Journal of the American Statistical
Association 88 (1993), 899-905 (generalised intervals); Stein, Annals of Mathematical Statistics 16 (1945) (how many
observations a difference takes, from a first few); Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM
2013 (the process as the unit).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, exp, log1p, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.intervals import DRAWS, Interval, block_interval, central_interval
from bench.score.stats.percentiles import as_fraction
from bench.score.stats.student import LEVEL, Estimate, quantile, welch

LEAST_PROCESSES = 2
"""Processes without which nothing is known of how much they differ."""
POWER = 0.9
"""Share of cases in which a difference is found with the processes that `processes_to_find` asks for."""

PLANNED_POWER = 0.95
"""Planned for, so that the power is `POWER` although the spread that it is planned from is an estimate."""
_LEAST = 1e-6
"""A nanosecond, in ms: what a stage that takes no time is taken for, as it has no logarithm."""
LARGEST_LOG = 700.0
"""Logarithm beyond which a number does not fit a float: of two processes, a draw in thousands may be."""
_RESIDUALS = 100
_SPREADS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 40.0)
"""Multiples of the spread between processes at which a percentile of all requests is computed; straight in between."""

Samples = Sequence[NDArray[np.generic]]
"""Samples of each process, ms, in the order in which they were taken; none is empty."""


def process_percentiles(processes: Samples, percent: float) -> NDArray[np.float64]:
    """Return the percentile (upper nearest rank) of each process that has samples, shape (processes,)."""
    found = [_upper_rank(np.asarray(values, dtype=np.float64), percent) for values in processes if len(values)]
    return np.asarray(np.maximum(np.array(found), _LEAST))


def latency_interval(processes: Samples, percent: float, *, seed: int) -> Interval:
    """Return the 95 % interval of a percentile of all requests.

    Args:
        processes: Samples of each process.
        percent: Percentile between 0 and 100.

    Returns:
        An interval that holds the percentile of the pooled samples. That of a single process says nothing about other
        processes: it is a bootstrap over blocks of its samples.
    """
    if len(processes) < LEAST_PROCESSES:
        return block_interval(processes[0], percent, seed=seed)
    if percent == 50.0:
        logs = np.log(process_percentiles(processes, percent))
        half = quantile(len(logs) - 1) * float(logs.std(ddof=1)) / sqrt(len(logs))
        interval = Interval(exp(float(logs.mean()) - half), exp(float(logs.mean()) + half))
    else:
        interval = central_interval(latency_draws(processes, percent, seed=seed))
    pooled = _upper_rank(np.concatenate([np.asarray(values, dtype=np.float64) for values in processes]), percent)
    return Interval(min(interval.low, pooled), max(interval.high, pooled))


def latency_draws(processes: Samples, percent: float, *, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Return what the percentile of all requests may be, given two processes or more, shape (draws,).

    The draws of a median are Student's t around the mean of the processes.
    """
    count = len(processes)
    of_spread, of_mean = _pivots(count - 1, seed, draws)
    logs = np.log(process_percentiles(processes, percent))
    drawn = logs.mean() + of_mean * of_spread * logs.std(ddof=1) / sqrt(count)
    if percent != 50.0:
        drawn = drawn + _shift_of_tail(processes, percent, of_spread)
    return np.asarray(np.exp(np.minimum(drawn, LARGEST_LOG)))


@lru_cache(maxsize=64)
def _pivots(degrees: int, seed: int, draws: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True over observed standard deviation, and standard normal variables, each of shape (draws,)."""
    random = np.random.default_rng(seed)
    return np.sqrt(degrees / random.chisquare(degrees, draws)), random.standard_normal(draws)


def _shift_of_tail(processes: Samples, percent: float, of_spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the percentile of all requests over that of a typical process, for each drawn spread of processes."""
    logs = [np.log(np.maximum(np.asarray(values, dtype=np.float64), _LEAST)) for values in processes]
    medians = np.array([_median(values) for values in logs])
    within = _spread_evenly(np.concatenate([own - median for own, median in zip(logs, medians, strict=True)]))
    spread = float(medians.std(ddof=1))
    offsets = np.array([k * spread for k in _SPREADS])[:, None] * _normal_nodes()
    grid = _upper_ranks_of_sums(within, offsets, percent)
    last = (grid[-1] - grid[-2]) / (_SPREADS[-1] - _SPREADS[-2])
    beyond = np.maximum(of_spread - _SPREADS[-1], 0.0) * last
    return np.asarray(np.interp(of_spread, _SPREADS, grid) + beyond - grid[0])


def _median(values: NDArray[np.float64]) -> float:
    """Return `numpy.median`, to the bit and without its checks."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high))
    return float((ordered[low] + ordered[high]) / 2)


def _spread_evenly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quantiles (k + 0.5) / `_RESIDUALS`, as `numpy.quantile` to the bit, in a quarter of its time."""
    before, share = _places(len(values))
    ordered = np.sort(values)
    low, high = ordered[before], ordered[np.minimum(before + 1, len(values) - 1)]
    step = high - low
    return np.asarray(np.where(share >= 0.5, high - step * (1 - share), low + step * share))


@lru_cache(maxsize=64)
def _places(count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place before each of these quantiles among so many ordered values, and its share of the way to the next."""
    place = (count - 1) * ((np.arange(_RESIDUALS) + 0.5) / _RESIDUALS)
    before = np.floor(place)
    return before.astype(np.intp), place - before


@lru_cache(maxsize=1)
def _normal_nodes() -> NDArray[np.float64]:
    """A standard normal law as equally probable values, shape (101,)."""
    law = NormalDist()
    return np.array([law.inv_cdf((k + 0.5) / 101) for k in range(101)])


def _upper_ranks_of_sums(a: NDArray[np.float64], rows: NDArray[np.float64], percent: float) -> NDArray[np.float64]:
    """Return for each row `_upper_rank` of all sums of a value of `a` and one of the row, both rising.

    The sum of the i-th and the j-th largest has at least i * j sums that are no smaller: one that many values lie above
    cannot be it, and is not looked at.
    """
    count = len(a) * rows.shape[1]
    above = count - min(int(count * as_fraction(percent)), count - 1)
    i, j = _largest_sums(len(a), rows.shape[1], above)
    sums = rows[:, j]
    sums += a[i]
    sums.partition(len(i) - above, axis=1)
    return np.asarray(sums[:, len(i) - above])


@lru_cache(maxsize=64)
def _largest_sums(rows: int, columns: int, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places, in two rising series, of the pairs that may be among the `most` largest sums."""
    from_top = np.arange(rows, 0, -1)[:, None] * np.arange(columns, 0, -1)[None]
    i, j = np.nonzero(from_top <= most)
    return i, j


def _upper_rank(values: NDArray[np.float64], percent: float) -> float:
    rank = min(int(len(values) * as_fraction(percent)), len(values) - 1)
    return float(np.partition(values, rank)[rank])


# --------------------------------------------------------------------------- comparing


class Ratio(NamedTuple):
    """Ratio of the latencies of A and B, over processes; value and ends of the interval."""

    value: float
    low: float
    high: float


def compare_processes(processes_a: Samples, processes_b: Samples, percent: float = 50.0) -> Estimate | None:
    """Compare a percentile of typical processes by Welch's test of the logarithms: A's less B's.

    Returns:
        None where either has fewer than two processes.
    """
    processes_a, processes_b = _with_samples(processes_a), _with_samples(processes_b)
    if min(len(processes_a), len(processes_b)) < LEAST_PROCESSES:
        return None
    logs = [np.log(process_percentiles(processes, percent)).tolist() for processes in (processes_a, processes_b)]
    return welch(*logs)


def _with_samples(processes: Samples) -> Samples:
    return [values for values in processes if len(values)]


def as_ratio(estimate: Estimate, level: float = LEVEL) -> Ratio:
    """Return a difference of logarithms as a ratio, with its interval of 1 - `level`."""
    half = estimate.half(level)
    return Ratio(exp(estimate.value), _exp(estimate.value - half), _exp(estimate.value + half))


def _exp(value: float) -> float:
    return exp(min(value, LARGEST_LOG))


def processes_to_find(change: float, spread: float, degrees: float, *, level: float = LEVEL) -> int:
    """Return how many processes of each of two models show a relative change in 9 of 10 comparisons.

    Args:
        change: Relative change, above 0: 0.05 = 5 % slower.
        spread: Standard deviation of the logarithm of a process's percentile, estimated.
        degrees: Degrees of freedom of that estimate: the fewer, the more its error is allowed for.
        level: Significance level of the comparison.
    """
    planned = quantile(degrees, 2 * (1 - PLANNED_POWER))
    reach = (quantile(degrees, level) + planned) * spread / log1p(change)
    return max(LEAST_PROCESSES + 1, ceil(2 * reach * reach))
