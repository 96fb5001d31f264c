"""Classes that too few images hold for their scores to say much of other images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics

SEGMENTS = "segment_matches"
"""Statistic of panoptic quality: sum of IoU, matches, false positives and misses by class."""
FEW_IMAGES = 10
"""Fewest images, or groups, from which the score of a class says more than of these images alone."""


def few_images(statistics: Statistics, classes: Sequence[ClassSpec]) -> dict[str, int]:
    """Return class -> images, or groups, that truly hold it, for the classes that some do but fewer than `FEW_IMAGES`.

    Known of label maps and of panoptic segments; empty where there are neither.
    """
    holds = _holds(statistics, len(classes))
    if holds is None:
        return {}
    if statistics.groups:
        group = np.unique(statistics.groups, return_inverse=True)[1]
        by_group = np.zeros((int(group.max()) + 1, len(classes)), dtype=np.bool_)
        np.logical_or.at(by_group, group, holds)
        holds = by_group
    images = holds.sum(axis=0)
    return {spec.name: int(n) for spec, n in zip(classes, images, strict=True) if 0 < n < FEW_IMAGES}


def _holds(statistics: Statistics, classes: int) -> NDArray[np.bool_] | None:
    """Return whether each image truly holds each class, (N, K)."""
    counts = statistics.arrays.get(CONFUSION)
    if counts is not None and counts.ndim == 3 and counts.shape[1] == classes:
        return np.asarray(counts.sum(axis=2) > 0)
    matches = statistics.arrays.get(SEGMENTS)
    return None if matches is None or matches.ndim != 3 else np.asarray(matches[..., [1, 3]].sum(axis=-1) > 0)
