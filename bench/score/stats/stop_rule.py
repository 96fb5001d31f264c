"""Decides when a model is warm and when enough has been measured: the rules of protocol 1, without a clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.records import Measurement
from bench.score.stats.intervals import median_interval
from bench.score.stats.percentiles import samples_needed


class WarmUp:
    """Collects warm-up iterations until all conditions of the protocol hold."""

    def __init__(self, measurement: Measurement, *, min_s: float, buckets: Sequence[tuple[int, int]]) -> None:
        """Start empty.

        Args:
            min_s: Least seconds of warm-up on this kind of device.
            buckets: Image shapes that will be timed; each must have been seen twice.
        """
        self._measurement, self._min_s = measurement, min_s
        self._missing = Counter(dict.fromkeys(buckets, 2))
        self.total_ns: list[int] = []
        self._elapsed_ns = 0
        self._waiting_since_ns: int | None = None

    def add(self, total_ns: int, buckets: Sequence[tuple[int, int]]) -> None:
        """Add one iteration and the image shapes it had."""
        self.total_ns.append(total_ns)
        self._elapsed_ns += total_ns
        self._missing -= Counter(dict.fromkeys(buckets, 1))
        m, count = self._measurement, len(self.total_ns)
        enough = count >= max(m.warmup_min_iterations, 2 * m.warmup_window) and self._elapsed_ns >= self._min_s * 1e9
        if enough and not self._missing and self._waiting_since_ns is None:
            self._waiting_since_ns = self._elapsed_ns

    def overdue(self) -> bool:
        """Return whether waiting for steady medians has taken more than `busy_allowance` of the time all else took."""
        since = self._waiting_since_ns
        return since is not None and self._elapsed_ns > (1 + self._measurement.busy_allowance) * since

    def unmet(self) -> tuple[str, ...]:
        """Conditions that do not hold yet; empty when the model is warm."""
        m, count = self._measurement, len(self.total_ns)
        unmet = []
        if count < m.warmup_min_iterations:
            unmet.append(f"{count} of {m.warmup_min_iterations} iterations")
        if self._elapsed_ns < self._min_s * 1e9:
            unmet.append(f"{self._elapsed_ns / 1e9:.1f} of {self._min_s:g} s")
        if self._missing:
            unmet.append(f"{len(self._missing)} image shapes not seen twice")
        change = self._window_change()
        if change is None or change > m.warmup_tolerance:
            said = (
                "fewer than two windows" if change is None else f"the last two windows differ by {100 * change:.1f} %"
            )
            unmet.append(said)
        return tuple(unmet)

    def capped(self) -> bool:
        """Return whether warm-up must end although something is unmet.

        A model faster than 5 ms is through its iterations before the least time is over, so the
        cap on iterations counts only from then on.
        """
        m = self._measurement
        long_enough = self._elapsed_ns >= self._min_s * 1e9
        many = len(self.total_ns) >= m.warmup_max_iterations
        return (many and long_enough) or self._elapsed_ns >= m.warmup_max_s * 1e9

    def _window_change(self) -> float | None:
        """Relative difference of the medians of the last two windows."""
        width = self._measurement.warmup_window
        if len(self.total_ns) < 2 * width:
            return None
        before = float(np.median(self.total_ns[-2 * width : -width]))
        last = float(np.median(self.total_ns[-width:]))
        return abs(last - before) / before if before else 0.0


def median_half_width(values: Sequence[float]) -> float:
    """Half width of the 95 % interval of the median, relative to the median; infinite where there is no interval."""
    interval = median_interval(values)
    median = float(np.median(values)) if interval else 0.0
    return (interval.high - interval.low) / 2 / median if interval and median > 0 else math.inf


def unmet_conditions(total_ns: Sequence[int], elapsed_s: float, measurement: Measurement) -> tuple[str, ...]:
    """Conditions of the stop rule that do not hold; empty when enough has been measured.

    Args:
        total_ns: End-to-end samples so far.
        elapsed_s: Seconds of sampling so far.
    """
    m, count = measurement, len(total_ns)
    unmet = []
    if elapsed_s < m.min_s:
        unmet.append(f"{elapsed_s:.1f} of {m.min_s:g} s measured")
    if count < m.min_samples:
        unmet.append(f"{count} of {m.min_samples} samples")
    needed = m.samples_of_each(max((samples_needed(p) for p in m.percentiles), default=0))
    if count < needed:
        unmet.append(f"{count} of {needed} samples for p{max(m.percentiles):g}")
    width = median_half_width(total_ns)
    if width > m.median_half_width:
        unmet.append(f"the median is known to ±{100 * width:.1f} %, ±{100 * m.median_half_width:g} % was asked for")
    return tuple(unmet)


def next_check(count: int, measurement: Measurement) -> int:
    """Return the next sample count at which the stop rule is looked at: 50, 100, 200 …

    Looking only at doubling counts limits the bias of stopping when the numbers happen to agree.

    >>> [next_check(n, Measurement()) for n in (0, 49, 50, 250)]
    [50, 50, 100, 400]
    """
    check = measurement.min_samples
    while check <= count:
        check *= 2
    return check
