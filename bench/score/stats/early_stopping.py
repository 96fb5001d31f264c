"""Tells how many queries a claim about a tail latency needs: the early stopping of MLPerf's LoadGen.

The claim is that a share p of all queries stays within a latency. Were it false, each query would be
over it with a probability of at least 1 − p, and at most t of n queries would be over it with a
probability of at most P[Bin(n, 1 − p) <= t]. The claim may be made from n queries of which t were
over if that probability is at most 1 %: the confidence is 99 %.

P[Bin(n, q) <= t] is the regularised incomplete beta function I(1 − q; n − t, t + 1), in which form
LoadGen evaluates it; here its terms are summed. The fewest queries that support a claim are
`percentiles.samples_needed`.

Sources: mlcommons/inference @ b66003e1, `loadgen/early_stopping.cc` (the rule, with its tolerance of
0) and `loadgen/results.cc` (what it is applied to); Abramowitz & Stegun, Handbook of Mathematical
Functions (1964), 26.5.24 (beta function and binomial distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from bench.records.throughput import TailLatency
from bench.score.stats.percentiles import CONFIDENCE, as_fraction, samples_needed

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
    share_over = float(1 - as_fraction(percent))
    doubt = 0.0
    for over in range(_first_that_counts(queries, share_over), queries + 1):
        log_ways = lgamma(queries + 1) - lgamma(over + 1) - lgamma(queries - over + 1)
        doubt += exp(log_ways + over * log(share_over) + (queries - over) * log1p(-share_over))
        if doubt > _MOST_DOUBT:
            return over - 1 if over else None
    return queries


def _first_that_counts(queries: int, share_over: float) -> int:
    """Return the first count that matters: ten standard deviations below the mean, rarer than a rounding error."""
    mean = queries * share_over
    return max(0, int(mean - 10 * sqrt(mean * (1 - share_over))) - 10)
