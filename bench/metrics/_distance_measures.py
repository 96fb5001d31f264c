"""The distances of a class as numbers: greatest, 95th percentile in both conventions, and mean in both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._surfaces import Distances

STATISTIC, VOLUME_STATISTIC = "surface_distances", "volume_distances"
GREATEST, LARGER_95, POOLED_95, POOLED_MEAN, MEAN_OF_MEANS = range(5)


def measures(found: Distances, longest: float) -> Sequence[float]:
    """Return the five numbers of a class, of which both maps have some."""
    del longest
    to_predicted, to_target = found.to_predicted, found.to_target
    every = np.concatenate([to_predicted, to_target])
    return (
        float(every.max()),
        max(percentile(to_predicted, 95), percentile(to_target, 95)),
        percentile(every, 95),
        float(every.mean()),
        float((to_predicted.mean() + to_target.mean()) / 2),
    )


def worst(longest: float) -> Sequence[float]:
    """Return a class that is missed or invented is as far off as anything in the image can be."""
    return (longest,) * 5


def percentile(values: NDArray[np.float64], share: float) -> float:
    """Return a percentile, linear between neighbouring values (Hyndman and Fan's seventh), as NumPy's default."""
    place = share / 100 * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
