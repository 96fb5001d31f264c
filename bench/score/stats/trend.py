"""Whether latencies drift while they are measured, and which of them stand out.

Sources: Sen, Journal of the American Statistical Association 63 (1968) (slope); Kendall, Rank
Correlation Methods (1975) (its significance); hyperfine @ 327d5f4, `outlier_detection.rs`
(threshold of ten standard deviations, on the scale of the median absolute deviation).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRIFT_LIMIT = 0.02
"""Change over the measurement, as a share of the median, above which it is not stationary."""

OUTLIER_LIMIT = 14.826
"""Distance from the median in median absolute deviations: ten standard deviations of a normal law."""

_POINTS = 200
_SIGNIFICANT_Z = 2.576  # two-sided 99 %


class Drift(NamedTuple):
    """A trend over a series.

    Attributes:
        change: From the first to the last sample, as a share of the median.
        significant: Whether chance would seldom (1 in 100) give such an order.
    """

    change: float
    significant: bool

    @property
    def matters(self) -> bool:
        """Whether it is large and not by chance: contents of images alone make some slope."""
        return self.significant and abs(self.change) > DRIFT_LIMIT


def drift(values: NDArray[np.generic]) -> Drift | None:
    """Return the Theil–Sen trend of a series; None below 10 samples.

    Long series are first reduced to medians of 200 stretches, since all pairs are compared.
    """
    if len(values) < 10:
        return None
    points = np.array(
        [np.median(part) for part in np.array_split(np.asarray(values, np.float64), min(_POINTS, len(values)))]
    )
    earlier, later = np.triu_indices(len(points), k=1)
    rises = points[later] - points[earlier]
    slope = float(np.median(rises / (later - earlier)))
    n = len(points)
    z = float(np.sign(rises).sum()) / np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return Drift(slope * (n - 1) / float(np.median(points)), bool(abs(z) > _SIGNIFICANT_Z))


def outliers(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which samples lie further than `OUTLIER_LIMIT` from the median, shape (n,).

    Where more than half of the samples are equal, every other sample is one.
    """
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    numbers = np.asarray(values, dtype=np.float64)
    distance = np.abs(numbers - np.median(numbers))
    return np.asarray(distance > OUTLIER_LIMIT * np.median(distance))
