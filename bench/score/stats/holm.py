"""Many comparisons at once: p-values that stay honest about how often was looked.

Among twenty comparisons without any difference one comes out "significant" at 5 %. Holm's procedure
keeps the probability of even one such mistake in a family below 5 %, whatever the dependence
between the comparisons, and is never weaker than Bonferroni's.

Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70; adjusted p-values as in Wright,
Biometrics 48 (1992), 1005-1013.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the order given: below 0.05 is significant in this family at 5 %.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted
