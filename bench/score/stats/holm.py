"""Many comparisons at once: p-values that stay honest about how often was looked.

Among twenty comparisons without any difference one comes out "significant" at 5 %. Holm's procedure
keeps the probability of even one such error in a family below 5 %, whatever the dependence
between the comparisons, and is never weaker than Bonferroni's.

Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70; adjusted p-values as in Wright,
Biometrics 48 (1992), 1005-1013.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.student import LEVEL


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the order given: below 0.05 is significant in this family at 5 %.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    return list(map(float, holm_of_many(np.asarray(p_values, dtype=np.float64))[0]))


def interval_levels(p_values: Sequence[float]) -> list[float]:
    """Return the level of each comparison's interval, so that interval and verdict are one.

    Holm's procedure holds the k-th smallest of m p-values against 5 % / (m - k + 1) until the first that is not
    below. An interval of that level (of 1 minus it) leaves out no difference exactly where the comparison is
    significant; those after the first that is not have its level. No interval is narrower than one of 95 %.

    >>> [round(level, 4) for level in interval_levels([0.001, 0.04, 0.03])]
    [0.0167, 0.025, 0.025]
    """
    return list(map(float, holm_of_many(np.asarray(p_values, dtype=np.float64))[1]))


def holm_of_many(p_values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `holm` and `interval_levels` of an array of p-values, each of shape (m,)."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    ordered, left = p_values[order], count - np.arange(count)
    adjusted, levels = np.empty(count), np.empty(count)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, left * ordered))
    own = LEVEL / left
    failed = np.flatnonzero(ordered >= own)
    if len(failed):
        own[failed[0] :] = own[failed[0]]
    levels[order] = own
    return adjusted, levels
