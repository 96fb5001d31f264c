"""Writes numbers with as many digits as their interval supports, and no more."""

from __future__ import annotations

import json
import math

from pydantic import JsonValue

MISSING = "–"
SIGNIFICANT = 4


def digits_for(half_width: float | None, *, default: int, most: int = 6) -> int:
    """Decimals such that an uncertainty shows two significant digits.

    >>> digits_for(0.0123, default=3), digits_for(4.2, default=3), digits_for(None, default=3)
    (3, 1, 3)
    """
    if half_width is None or not math.isfinite(half_width) or half_width <= 0:
        return default
    return min(most, max(0, 1 - math.floor(math.log10(half_width))))


def with_interval(value: float | None, low: float | None, high: float | None, *, default: int) -> str:
    """Write `value (low–high)`, or the value alone, or a dash.

    As many digits as the interval supports, and at most four significant ones: an interval within one
    process may be narrower than any other run would confirm.

    >>> with_interval(0.81234, 0.7901, 0.8301, default=3)
    '0.812 (0.790–0.830)'
    >>> with_interval(3.023101, 3.022571, 3.023634, default=3)
    '3.023 (3.023–3.024)'
    >>> with_interval(None, None, None, default=3)
    '–'
    """
    if value is None:
        return MISSING
    if low is None or high is None:
        return f"{value:.{default}f}"
    digits = digits_for((high - low) / 2, default=default)
    if value:
        digits = min(digits, max(0, SIGNIFICANT - 1 - math.floor(math.log10(abs(value)))))
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def significant(value: float | None) -> str:
    """Write a number with three significant digits, but no fewer than those before the point.

    >>> significant(12.3456), significant(0.04567), significant(123456.7), significant(None)
    ('12.3', '0.0457', '123457', '–')
    """
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def probability(value: float | None) -> str:
    """Write a p-value with three significant digits, so that one just above 5 % does not read as 5 %.

    >>> probability(0.0504), probability(0.5), probability(1e-7), probability(None)
    ('0.0504', '0.500', '< 0.0001', '–')
    """
    return "< 0.0001" if value is not None and value < 1e-4 else significant(value)


def share_of(value: float) -> str:
    """Write a share of resamples in percent; none of them proves a share of 0 or 1.

    >>> share_of(0.123), share_of(1.0), share_of(0.001)
    ('12 %', '> 99 %', '< 1 %')
    """
    percent = 100 * value
    return "> 99 %" if percent > 99 else "< 1 %" if percent < 1 else f"{percent:.0f} %"


def fixed(value: float | None, digits: int = 3, *, sign: str = "") -> str:
    """Write a number with so many digits after the point, or a dash.

    >>> fixed(0.81234), fixed(12.0, 1, sign="+"), fixed(None)
    ('0.812', '+12.0', '–')
    """
    return MISSING if value is None else f"{value:{sign}.{digits}f}"


def percent(share: float | None, digits: int, *, sign: str = "") -> str:
    """Write a share in percent, or a dash."""
    return fixed(None if share is None else 100 * share, digits, sign=sign)


def count(value: int | None) -> str:
    """Write a count with thin groups of thousands.

    >>> count(31043521), count(None)
    ('31,043,521', '–')
    """
    return MISSING if value is None else f"{value:,}"


def mebibytes(value: int | None) -> str:
    """Write bytes as MiB.

    >>> mebibytes(1536 * 1024), mebibytes(None)
    ('1.5', '–')
    """
    return MISSING if value is None else f"{value / 2**20:.1f}" if value < 100 * 2**20 else f"{value / 2**20:.0f}"


def values_in_words(values: dict[str, JsonValue]) -> str:
    """Return a recipe's searched fields in a line."""
    return ", ".join(f"{field} {value_in_words(value)}" for field, value in values.items())


def value_in_words(value: JsonValue) -> str:
    """Return a value of a field with at most four significant digits.

    >>> value_in_words(0.00123456), value_in_words("dice"), value_in_words([64, 64]), value_in_words(8)
    ('0.001235', 'dice', '[64, 64]', '8')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
