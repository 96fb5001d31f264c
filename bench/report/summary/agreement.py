"""Counts the pixels in which two predictions differ: two processes on a GPU are seldom equal bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.records.predictions import Instances, Panoptic, Prediction, PromptedMasks, SemanticMap

SCORE_TOLERANCE = 1e-3
"""Scores of one object further apart than this are those of two objects."""


class Agreement(NamedTuple):
    """Equal pixels of all pixels that count; of objects these are weighted by their scores."""

    equal: float
    pixels: float

    @property
    def share(self) -> float:
        """Between 0 and 1; 1 where there is nothing in either."""
        return self.equal / self.pixels if self.pixels else 1.0


def agreement(one: Prediction, other: Prediction) -> Agreement:
    """Compare two predictions of one form; none of their pixels is equal if their sizes differ.

    Label maps: pixels of one class in both. Panoptic maps: pixels of matched segments, or void in both. Objects and
    masks of prompts: the intersection of matched masks, of the union of all, each weighted by its score, so that
    a box that was hardly kept weighs little. Objects are matched one to one, within a class and `SCORE_TOLERANCE`,
    the largest intersection first; prompts by their order.
    """
    if one.size != other.size:
        return Agreement(0.0, float(one.size.height * one.size.width))
    if isinstance(one, SemanticMap) and isinstance(other, SemanticMap):
        return Agreement(float(np.count_nonzero(one.labels == other.labels)), float(one.labels.size))
    if isinstance(one, Panoptic) and isinstance(other, Panoptic):
        return _of_segments(one, other)
    if isinstance(one, Instances) and isinstance(other, Instances):
        alike = (one.class_ids[:, None] == other.class_ids) & _close(one.scores, other.scores)
        return _of_masks(one.masks, other.masks, one.scores, other.scores, alike)
    if isinstance(one, PromptedMasks) and isinstance(other, PromptedMasks):
        same = np.eye(len(one.masks), len(other.masks), dtype=np.bool_)
        alike = same & _close(one.scores, other.scores)
        return _of_masks(one.masks, other.masks, np.ones(len(one.masks)), np.ones(len(other.masks)), alike)
    raise TypeError(f"a {type(one).__name__} cannot be compared with a {type(other).__name__}")


def _close(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(ones[:, None] - others) <= SCORE_TOLERANCE


def _of_masks(
    ones: NDArray[np.bool_],
    others: NDArray[np.bool_],
    weights: NDArray[np.float64],
    other_weights: NDArray[np.float64],
    alike: NDArray[np.bool_],
) -> Agreement:
    flat, other_flat = ones.reshape(len(ones), -1), others.reshape(len(others), -1)
    areas, other_areas = flat.sum(axis=1, dtype=np.float64), other_flat.sum(axis=1, dtype=np.float64)
    inter = (
        flat.astype(np.float32) @ other_flat.astype(np.float32).T
        if len(ones) and len(others)
        else np.zeros(alike.shape)
    )
    equal = pixels = 0.0
    left, other_left = set(range(len(ones))), set(range(len(others)))
    for i, j in _pairs(np.where(alike, inter, 0.0)):
        weight = max(weights[i], other_weights[j])
        equal += weight * inter[i, j]
        pixels += weight * (areas[i] + other_areas[j] - inter[i, j])
        left.discard(i)
        other_left.discard(j)
    pixels += sum(weights[i] * areas[i] for i in left) + sum(other_weights[j] * other_areas[j] for j in other_left)
    return Agreement(float(equal), float(pixels))


def _of_segments(one: Panoptic, other: Panoptic) -> Agreement:
    """Count pixels by pair of segments once; those of a class with the most common pixels are matched first."""
    ids, places = np.unique(one.segment_ids, return_inverse=True)
    other_ids, other_places = np.unique(other.segment_ids, return_inverse=True)
    shape = (len(ids), len(other_ids))
    table = np.bincount(places.ravel() * len(other_ids) + other_places.ravel(), minlength=shape[0] * shape[1])
    classes = np.array([_classes(one).get(int(i), -1) for i in ids])
    other_classes = np.array([_classes(other).get(int(i), -1) for i in other_ids])
    common = np.where(classes[:, None] == other_classes, table.reshape(shape), 0)
    return Agreement(float(sum(common[i, j] for i, j in _pairs(common))), float(one.segment_ids.size))


def _classes(panoptic: Panoptic) -> dict[int, int]:
    return {segment.id: segment.class_id for segment in panoptic.segments}


def _pairs(common: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield (row, column) one to one, the largest entry first; none where an entry is 0."""
    rows: set[int] = set()
    columns: set[int] = set()
    for place in np.argsort(-common, axis=None, kind="stable"):
        i, j = divmod(int(place), common.shape[1])
        if common[i, j] <= 0:
            return
        if i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            yield i, j
