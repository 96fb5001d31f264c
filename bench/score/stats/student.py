"""Student's t distribution with whole degrees of freedom, without a statistics library.

Source: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
"""

from __future__ import annotations

from functools import lru_cache
from math import atan, cos, inf, isinf, pi, sin, sqrt


def two_sided_p(t: float, degrees: int) -> float:
    """Return the probability of a value at least as far from zero, with an absolute error below 1e-12.

    Args:
        t: The statistic; may be infinite.
        degrees: Of freedom, at least 1.

    >>> round(two_sided_p(12.7062, 1), 4), round(two_sided_p(2.2281, 10), 4), two_sided_p(0.0, 3)
    (0.05, 0.05, 1.0)
    """
    if isinf(t):
        return 0.0
    angle = atan(abs(t) / sqrt(degrees))
    return min(1.0, max(0.0, 1.0 - _central(angle, degrees)))


def _central(angle: float, degrees: int) -> float:
    """Probability between -t and t, where angle = arctan(t / sqrt(degrees))."""
    squared = cos(angle) ** 2
    if degrees % 2:
        term, total = cos(angle), 0.0
        for k in range(1, (degrees - 1) // 2 + 1):
            total += term
            term *= squared * 2 * k / (2 * k + 1)
        return 2 / pi * (angle + sin(angle) * total)
    term, total = 1.0, 0.0
    for k in range(1, degrees // 2 + 1):
        total += term
        term *= squared * (2 * k - 1) / (2 * k)
    return sin(angle) * total


@lru_cache(maxsize=256)
def quantile_975(degrees: int) -> float:
    """Return the t that 2.5 % of the distribution lie above: half a 95 % interval, in standard errors.

    >>> round(quantile_975(2), 4)
    4.3027
    """
    low, high = 0.0, 16.0  # 12.7 for one degree of freedom, less for more
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if two_sided_p(middle, degrees) > 0.05 else (low, middle)
    return low


def t_statistic(difference: float, standard_error: float) -> float:
    """Return the ratio; without any spread a difference is infinitely clear and no difference is none."""
    if standard_error > 0:
        return difference / standard_error
    return 0.0 if difference == 0 else inf
