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
    adjusted = [0.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(_order(p_values)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted


def interval_levels(p_values: Sequence[float]) -> list[float]:
    """Return the level of each comparison's interval, so that interval and verdict are one.

    Holm's procedure holds the k-th smallest of m p-values against 5 % / (m - k + 1) until the first that is not
    below. An interval of that level (of 1 minus it) leaves out no difference exactly where the comparison is
    significant; those after the first that is not have its level. No interval is narrower than one of 95 %.

    >>> [round(level, 4) for level in interval_levels([0.001, 0.04, 0.03])]
    [0.0167, 0.025, 0.025]
    """
    levels = [LEVEL] * len(p_values)
    level, going = LEVEL, True
    for rank, index in enumerate(_order(p_values)):
        if going:
            level = LEVEL / (len(p_values) - rank)
            going = p_values[index] < level
        levels[index] = level
    return levels


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


def _order(p_values: Sequence[float]) -> list[int]:
    return sorted(range(len(p_values)), key=lambda i: p_values[i])
