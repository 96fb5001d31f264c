"""Finds the models that nobody beats on both score and latency, and how sure that is.

Source: the definition of Pareto optimality; the probability is the share of joint bootstrap draws
in which a model is on the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 100_000
"""Values that are sorted at once, so that memory does not grow with models × draws."""


class Point(NamedTuple):
    """One model: a score (more is better) and a latency (less is better)."""

    score: float
    latency: float


def pareto_front(points: Sequence[Point]) -> tuple[int, ...]:
    """Return the indices of the points that no other beats, in the order of the points.

    A point is beaten by one that is no worse in both and better in one; of equal points all stay.
    """
    if not points:
        return ()
    pairs = np.asarray(points, dtype=np.float64)  # (M, 2)
    front = _on_front(pairs[:, :1], pairs[:, 1:])[:, 0]
    return tuple(int(i) for i in np.flatnonzero(front))


def pareto_probability(scores: NDArray[np.float64], latencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how probable it is that each model is on the front, shape (M,).

    Args:
        scores: Bootstrap draws of each model, shape (M, draws); drawn on the same images, so that
            draw d of two models is paired.
        latencies: Bootstrap draws, shape (M, draws).
    """
    models, draws = scores.shape
    step = max(1, _AT_ONCE // max(1, models))
    times = np.zeros(models)
    for first in range(0, draws, step):
        times += _on_front(scores[:, first : first + step], latencies[:, first : first + step]).sum(axis=1)
    return np.asarray(times / draws)


def _on_front(scores: NDArray[np.float64], latencies: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each model is beaten by no other, draw by draw, shape (M, draws); nan never is on it."""
    undefined = np.isnan(scores) | np.isnan(latencies)
    scores, latencies = np.where(undefined, -np.inf, scores), np.where(undefined, np.inf, latencies)
    order = np.lexsort((-scores, latencies), axis=0)  # by rising latency, of equal ones the best first
    ordered, behind = np.take_along_axis(scores, order, axis=0), np.take_along_axis(latencies, order, axis=0)
    before = np.full_like(ordered, -np.inf)
    before[1:] = np.maximum.accumulate(ordered, axis=0)[:-1]
    # Of equal points, which follow one another, all are what the first is.
    equal = np.zeros(ordered.shape, dtype=np.bool_)
    equal[1:] = (ordered[1:] == ordered[:-1]) & (behind[1:] == behind[:-1])
    first = np.maximum.accumulate(np.where(equal, 0, np.arange(len(ordered))[:, None]), axis=0)
    found = np.take_along_axis(ordered > before, first, axis=0)
    front = np.zeros(ordered.shape, dtype=np.bool_)
    np.put_along_axis(front, order, found, axis=0)
    return np.asarray(front & ~undefined)
