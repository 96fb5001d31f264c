"""Student's t distribution and Welch's test, without a statistics library.

The share of the distribution beyond ±t with f degrees of freedom is the regularised incomplete beta
function I(f / (f + t²); f/2, 1/2), summed by its continued fraction.

Sources: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.5.8, 26.5.27 and 26.7.1; Lentz, Applied
Optics 15 (1976) (evaluation of the fraction); Welch, Biometrika 34 (1947).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, isinf, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist, fmean, variance
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Two-sided share of errors that an interval or a verdict may make."""

_TINY = 1e-300

Numbers = TypeVar("Numbers", float, NDArray[np.float64])


def two_sided_p(t: float, degrees: float) -> float:
    """Return the probability of a value at least as far from zero, with an absolute error below 1e-12.

    Args:
        t: The statistic; may be infinite.
        degrees: Degrees of freedom, above 0; need not be whole.

    >>> round(two_sided_p(12.7062, 1), 4), round(two_sided_p(2.2281, 10), 4), two_sided_p(0.0, 3)
    (0.05, 0.05, 1.0)
    """
    if isinf(t):
        return 0.0
    squared = t * t
    if squared == 0:
        return 1.0
    return _incomplete_beta(degrees / (degrees + squared), squared / (degrees + squared), degrees / 2, 0.5)


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I(x; a, b); `rest` is 1 - x, given apart because x may be too near to 1 to tell."""
    if x > (a + 1) / (a + b + 2):
        return max(0.0, 1.0 - _incomplete_beta(rest, x, b, a))
    log_x = log(x) if x < 0.5 else log1p(-rest)
    log_rest = log(rest) if rest < 0.5 else log1p(-x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log_x + b * log_rest) / a
    return min(1.0, front * _fraction(x, a, b))


def _fraction(x: Numbers, a: float, b: float) -> Numbers:
    c, d = x * 0 + 1, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 1000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = _not_zero(1 + numerator / c), 1 / _not_zero(1 + numerator * d)
            found = found * c * d
        settled = abs(c * d - 1) < 1e-15
        if settled if isinstance(settled, bool) else settled.all():
            break
    return found


def _not_zero(value: Numbers) -> Numbers:
    return value + (abs(value) < _TINY) * _TINY


@lru_cache(maxsize=4096)
def quantile(degrees: float, level: float = LEVEL) -> float:
    """Return the t beyond which, on both sides together, lies `level` of the distribution.

    It is half an interval of 1 - `level`, in standard errors.

    >>> round(quantile(2), 4), round(quantile(9.5, 0.01), 4)
    (4.3027, 3.207)
    """
    # The share beyond t is convex, and that of the normal law is smaller: Newton's steps from its quantile come from
    # the left and never go too far.
    t = NormalDist().inv_cdf(1 - level / 2) if level > 1e-15 else 8.0
    log_constant = lgamma((degrees + 1) / 2) - lgamma(degrees / 2) - 0.5 * log(degrees * pi)
    for _ in range(100):
        density = exp(log_constant - (degrees + 1) / 2 * log1p(t * t / degrees))
        step = (two_sided_p(t, degrees) - level) / (2 * density)
        t += step
        if abs(step) <= 1e-13 * t:
            break
    return t


def two_sided_ps(t: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `two_sided_p` of many statistics at once, both of shape (n,)."""
    found = np.zeros(len(t))
    for of in np.unique(degrees):
        own = np.flatnonzero(degrees == of)
        squared = t[own] ** 2
        finite = np.isfinite(squared)
        own, squared = own[finite], squared[finite]
        found[own] = _incomplete_betas(of / (of + squared), squared / (of + squared), float(of) / 2, 0.5)
    return found


def _incomplete_betas(x: NDArray[np.float64], rest: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    """I(x; a, b) of many x at once; see `_incomplete_beta`."""
    turned = x > (a + 1) / (a + b + 2)
    found = np.empty(len(x))
    with np.errstate(divide="ignore"):
        if turned.any():
            found[turned] = np.maximum(0.0, 1.0 - _betas_by_fraction(rest[turned], x[turned], b, a))
        if not turned.all():
            found[~turned] = _betas_by_fraction(x[~turned], rest[~turned], a, b)
    return found


def _betas_by_fraction(x: NDArray[np.float64], rest: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    log_x = np.where(x < 0.5, np.log(x), np.log1p(-rest))
    log_rest = np.where(rest < 0.5, np.log(rest), np.log1p(-x))
    front = np.exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log_x + b * log_rest) / a
    return np.asarray(np.minimum(1.0, front * _fraction(x, a, b)))


def t_statistic(difference: float, standard_error: float) -> float:
    """Return the ratio; without any spread a difference is infinitely clear and no difference is none."""
    if standard_error > 0:
        return difference / standard_error
    return 0.0 if difference == 0 else inf


@dataclass(frozen=True)
class Estimate:
    """A difference, how far chance moves it, and what that is known from: its interval and its p-value are one test.

    Attributes:
        degrees: Degrees of freedom of that.
    """

    value: float
    error: float
    degrees: float

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference."""
        return two_sided_p(t_statistic(self.value, self.error), self.degrees)

    def half(self, level: float = LEVEL) -> float:
        """Half of the interval that leaves out 0 exactly where p is below `level`."""
        return quantile(self.degrees, level) * self.error


def welch(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Return the mean of `a` minus that of `b`, each of at least two values with a variance of their own."""
    shares = [variance(one) / len(one) for one in (a, b)]
    parts = sum(share**2 / (len(one) - 1) for share, one in zip(shares, (a, b), strict=True))
    degrees = sum(shares) ** 2 / parts if parts > 0 else min(len(a), len(b)) - 1
    return Estimate(fmean(a) - fmean(b), sqrt(sum(shares)), degrees)
