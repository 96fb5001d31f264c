"""Tells how the semantic score of an instance model depends on the score from which an instance counts.

An instance model becomes a label map only after a threshold is chosen, and that choice can move its
mIoU more than a better network would. One pass over the images counts pixels by (score of the
topmost instance, true class, predicted class); every threshold of the grid is a sum over these.

The best threshold is picked with the ground truth in hand: it is an upper bound (an oracle), and reported
as such beside the score at the fixed threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import Metric
from bench.records import ClassSpec, OracleScore, background_class, void_of
from bench.records.predictions import Instances, SemanticMap
from bench.score.reduce import painted

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds that are tried: 0.05, 0.10, … 0.95; the fixed one is among them."""


class ThresholdCounts:
    """Pixels of all images by (threshold bin, true class, predicted class or none).

    A pixel is in bin b if its topmost instance is painted by exactly the first b thresholds.
    """

    def __init__(self, classes: Sequence[ClassSpec]) -> None:
        self._classes = classes
        self._nothing = background_class(classes)
        self._counts = np.zeros((len(GRID) + 1, len(classes), len(classes) + 1), dtype=np.int64)

    def add(self, target: SemanticMap, predicted: Instances) -> None:
        """Count the pixels of one image."""
        labels, scores = painted(predicted, len(self._classes))
        bins = np.searchsorted(GRID, scores, side="right")
        known = target.labels != void_of(target.labels)
        none = len(self._classes)
        named = np.where(labels == void_of(labels), none, labels).astype(np.int64)
        flat = (bins[known] * len(self._classes) + target.labels[known]) * (none + 1) + named[known]
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    def at(self, index: int) -> NDArray[np.int64]:
        """Confusion counts at threshold `GRID[index]`, shape (K, K + 1)."""
        counts: NDArray[np.int64] = self._counts[index + 1 :].sum(axis=0)
        unpainted = self._counts[: index + 1].sum(axis=(0, 2))
        counts[:, -1 if self._nothing is None else self._nothing] += unpainted
        return counts

    def best(self, metric: Metric) -> OracleScore | None:
        """Threshold at which a metric of confusion counts is best, the lowest of equals; None if undefined at all."""
        found: OracleScore | None = None
        sign = 1 if metric.higher_is_better else -1
        for index, tau in enumerate(GRID):
            value = metric.score(self.at(index)[None], self._classes, seed=0).value
            if value is not None and (found is None or sign * value > sign * found.value):
                found = OracleScore(tau=tau, value=value)
        return found
