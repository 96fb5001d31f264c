"""Classes that too few images hold for their scores to say much of other images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metric import CONFUSION
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics

FEW_IMAGES = 10
"""Fewest images, or groups, from which the score of a class says more than of these images alone."""


def few_images(statistics: Statistics, classes: Sequence[ClassSpec]) -> dict[str, int]:
    """Return class -> images, or groups, that truly hold it, for the classes that some do but fewer than `FEW_IMAGES`.

    Known of label maps only; empty where there are none.
    """
    counts = statistics.arrays.get(CONFUSION)
    if counts is None or counts.ndim != 3 or counts.shape[1] != len(classes):
        return {}
    holds = counts.sum(axis=2) > 0  # (N, K)
    if statistics.groups:
        group = np.unique(statistics.groups, return_inverse=True)[1]
        by_group = np.zeros((int(group.max()) + 1, len(classes)), dtype=np.bool_)
        np.logical_or.at(by_group, group, holds)
        holds = by_group
    images = holds.sum(axis=0)
    return {spec.name: int(n) for spec, n in zip(classes, images, strict=True) if 0 < n < FEW_IMAGES}
