"""Percentiles that are only given where the sample supports them, and claims about tails by LoadGen's early stopping.

A percentile of latency is supported if, with 99 % confidence, the sample's value is an upper bound of the true one with
at most one sample allowed above it. This is the rule by which MLPerf decides how many queries a tail claim takes.
Values are never interpolated: a reported latency is one that was measured.

The claim of early stopping is that a share p of all queries stays within a latency. Were it false, each query would be
over it with a probability of at least 1 − p, and at most t of n queries would be over it with a probability of at most
P[Bin(n, 1 − p) <= t]. The claim may be made from n queries of which t were over if that probability is at most 1 %.
P[Bin(n, q) <= t] is the regularised incomplete beta function I(1 − q; n − t, t + 1), in which form LoadGen evaluates
it; here its terms are summed.

Sources: mlcommons/inference @ b66003e1, `loadgen/early_stopping.cc` (number of samples, and the rule with its tolerance
of 0) and `loadgen/results.cc` (rank floor(n p), counted from 0, and what the rule is applied to); Abramowitz & Stegun,
Handbook of Mathematical Functions (1964), 26.5.24 (beta function and binomial distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb, exp, lgamma, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.records.throughput import TailLatency

CONFIDENCE = Fraction(99, 100)


@dataclass(frozen=True)
class Percentile:
    """A percentile, or what it lacks.

    Attributes:
        percentile: The percentile, between 0 and 100.
        value: Value in the unit of the values; None where the sample does not support it.
        needed: Samples it takes.
        have: Samples there are.
    """

    percentile: float
    value: float | None
    needed: int
    have: int

    @property
    def missing(self) -> str | None:
        """Return what a table says in place of the value; None where there is one."""
        return None if self.value is not None else f"needs {self.needed} samples, has {self.have}"


def percentile(values: Sequence[float] | NDArray[np.generic], percent: float) -> Percentile:
    """Return a percentile of values by the upper nearest rank, if there are enough of them.

    >>> percentile(range(100), 90.0)
    Percentile(percentile=90.0, value=90.0, needed=64, have=100)
    >>> percentile(range(63), 90.0).missing
    'needs 64 samples, has 63'
    """
    needed, have = samples_needed(percent), len(values)
    if have < needed:
        return Percentile(percent, None, needed, have)
    rank = int(have * as_fraction(percent))
    return Percentile(percent, float(np.partition(np.asarray(values), rank)[rank]), needed, have)


@lru_cache(maxsize=64)
def samples_needed(percent: float, above: int = 1) -> int:
    """Return the fewest samples that support a percentile with `above` of them above it.

    The smallest n for which P[Bin(n, 1 - p) <= above] <= 1 %, in exact integers.

    >>> [samples_needed(p) for p in (50, 90, 95, 99)]
    [11, 64, 130, 662]
    >>> samples_needed(99, above=0)
    459

    Raises:
        BenchError: If the percentile is not between 0 and 100.
    """
    too_few, enough = above, above + 1
    while not _supported(enough, percent, above):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if _supported(middle, percent, above) else (middle, enough)
    return enough


@lru_cache(maxsize=256)
def as_fraction(percent: float) -> Fraction:
    """Return a percentile as the exact decimal fraction it is written as.

    >>> as_fraction(99.9)
    Fraction(999, 1000)
    """
    share = Fraction(str(percent)) / 100
    if not 0 < share < 1:
        raise BenchError(f"measurement.percentiles: {percent:g} is not between 0 and 100; use for example 50, 90, 95")
    return share


def _supported(samples: int, percent: float, above: int) -> bool:
    """Return whether P[Bin(n, 1 - p) <= above] <= 1 - confidence, without rounding."""
    share = as_fraction(percent)
    below, whole = share.numerator, share.denominator
    ways = sum(
        comb(samples, k) * (whole - below) ** k * below ** (samples - k) for k in range(min(above, samples) + 1)
    )  # over whole**samples
    return bool(ways * CONFIDENCE.denominator <= (CONFIDENCE.denominator - CONFIDENCE.numerator) * whole**samples)


# --------------------------------------------------------------------------- early stopping

_MOST_DOUBT = float(1 - CONFIDENCE)


def tail_latency(latencies_ns: Sequence[int] | NDArray[np.int64], percent: float) -> TailLatency:
    """Return an upper bound of a percentile of latencies, as LoadGen reports it for its streams.

    With t as large as n queries allow, the bound is the t-th largest latency: t − 1 queries were slower.
    It is the largest of all where n is the fewest that support the percentile, and comes nearer to the
    percentile itself the more there are.

    Args:
        latencies_ns: Latencies of all queries, nanoseconds, in any order.
        percent: Percentile between 0 and 100.
    """
    count, needed = len(latencies_ns), samples_needed(percent)
    over = allowed_over(count, percent)
    if over is None or over < 1:
        return TailLatency(percentile=percent, queries=count, needed=needed)
    bound = float(np.partition(np.asarray(latencies_ns), count - over)[count - over])
    return TailLatency(percentile=percent, ms=bound / 1e6, queries=count, needed=needed, slower=over - 1)


def allowed_over(queries: int, percent: float) -> int | None:
    """Return how many of `queries` queries may be over a latency that is claimed for a percentile.

    None if there are too few for any claim, even with none over.

    >>> [allowed_over(n, 99) for n in (458, 459, 661, 662)]
    [None, 0, 0, 1]
    """
    above = first_above(queries, float(1 - as_fraction(percent)), _MOST_DOUBT)
    return queries if above is None else above - 1 if above else None


def first_above(trials: int, share: float, probability: float) -> int | None:
    """Return the smallest k for which P[Bin(n, share) <= k] is above a probability; None if there is none."""
    # Ten standard deviations below the mean lies less than a rounding error.
    first = max(0, int(trials * share - 10 * sqrt(trials * share * (1 - share))) - 10)
    summed = 0.0
    for k in range(first, trials + 1):
        log_ways = lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1)
        summed += exp(log_ways + k * log(share) + (trials - k) * log1p(-share))
        if summed > probability:
            return k
    return None
