"""Tests whether latencies drift while they are measured, and which of them stand out.

Neighbouring samples resemble one another, so that a series without any trend wanders. The slope is therefore held
against the noise of its own partial sums, which grow with that wandering as they do with its size: no number of
neighbours need be guessed.

Sources: Sen, Journal of the American Statistical Association 63 (1968) (slope); Kiefer, Vogelsang & Bunzel,
Econometrica 68 (2000), 695-714, and Bunzel & Vogelsang, Journal of Business & Economic Statistics 23 (2005)
(significance of a trend, whatever the autocorrelation); hyperfine @ 327d5f4, `outlier_detection.rs` (threshold of ten
standard deviations, on the scale of the median absolute deviation).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRIFT_LIMIT = 0.02
"""Change over the measurement, as a share of the median, above which it is not stationary."""

OUTLIER_LIMIT = 14.826
"""Distance from the median in median absolute deviations: ten standard deviations of a normal law."""

_POINTS = 200
_CRITICAL = 12.0
"""Critical ratio of the slope to the noise of partial sums; simulated, see `tests/benchmarks/bench_intervals.py`."""


class Drift(NamedTuple):
    """A trend over a series.

    Attributes:
        change: Change from the first to the last sample, as a share of the median.
        significant: True if chance would seldom (1 in 100) give such a slope.
    """

    change: float
    significant: bool

    @property
    def matters(self) -> bool:
        """Return whether it is large and not by chance: contents of images alone make some slope."""
        return self.significant and abs(self.change) > DRIFT_LIMIT


class ProcessTrend(NamedTuple):
    """Summary of the trends of the processes of one case.

    Attributes:
        change: Mean over processes.
        moving: Processes whose own trend matters.
    """

    change: float
    moving: int

    @property
    def matters(self) -> bool:
        """Return whether any process has a trend that does."""
        return self.moving > 0


def trend_of_processes(processes: Sequence[NDArray[np.generic]]) -> ProcessTrend | None:
    """Return the trend that processes have together; None where no series is long enough."""
    trends = [trend for values in processes if (trend := drift(values)) is not None]
    if not trends:
        return None
    return ProcessTrend(float(np.mean([trend.change for trend in trends])), sum(trend.matters for trend in trends))


def drift(values: NDArray[np.generic]) -> Drift | None:
    """Return the Theil–Sen trend of a series; None below 10 samples.

    Long series are first reduced to medians of 200 stretches, since all pairs are compared.
    """
    if len(values) < 10:
        return None
    points = _medians(np.asarray(values, np.float64), min(_POINTS, len(values)))
    earlier, later = _pairs(len(points))
    slope = float(np.median((points[later] - points[earlier]) / (later - earlier)))
    change = slope * (len(points) - 1) / float(np.median(points))
    return Drift(change, abs(trend_statistic(points)) > _CRITICAL)


def _medians(values: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Return the median of each part of `np.array_split`, of which the first ones may be longer by one."""
    length, longer = divmod(len(values), parts)
    cut = longer * (length + 1)
    first = np.median(values[:cut].reshape(longer, length + 1), axis=1) if longer else values[:0]
    return np.concatenate([first, np.median(values[cut:].reshape(parts - longer, length), axis=1)])


@lru_cache(maxsize=16)
def _pairs(points: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(points, k=1)


def trend_statistic(points: NDArray[np.float64]) -> float:
    """Return a series' slope by least squares over its standard error by partial sums (Bartlett's kernel, b = 1)."""
    time = np.arange(len(points)) - (len(points) - 1) / 2
    slope = float(time @ points) / float(time @ time)
    sums = np.cumsum(time * (points - points.mean() - slope * time))
    error = np.sqrt(2 * float(sums @ sums) / len(points)) / float(time @ time)
    return slope / error if error > 1e-12 * np.abs(points).max() / len(points) else (0.0 if slope == 0 else np.inf)


def outliers(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which samples lie further than `OUTLIER_LIMIT` from the median, shape (n,).

    Where more than half of the samples are equal, every other sample is one.
    """
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    numbers = np.asarray(values, dtype=np.float64)
    distance = np.abs(numbers - np.median(numbers))
    return np.asarray(distance > OUTLIER_LIMIT * np.median(distance))
