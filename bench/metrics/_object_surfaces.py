"""Metrics of the surfaces of single objects: distances between matched masks, misses and false alarms at the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metrics import _surface_metrics as column
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._masks import intersections, stacks
from bench.metrics._matching import as_instances
from bench.metrics._objects import match_objects
from bench.metrics._semantic import defined
from bench.metrics._surface_metrics import VALUES, SurfaceMetric, ToleranceMetric, column_mean
from bench.metrics._surfaces import diagonal, distances_of, step_sizes, surface_points
from bench.records import ClassSpec, TaskKind
from bench.records.predictions import INSTANCE_SCORE, Instances, Prediction

MATCH_IOU = 0.5


def mask_surface(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Surface pixels of a mask: slice 0, row and column, int32, (P, 3)."""
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    crop = mask[top : top + down, left : left + across]
    places = surface_points((~crop).view(np.uint8), 1).of(0)
    return np.ascontiguousarray(places + np.array([0, top, left], dtype=np.int32))


@dataclass(frozen=True)
class ObjectDistanceMetric(SurfaceMetric):
    """A metric of surfaces whose rows add up the objects of a class in an image.

    Behind the values of all objects stand those of the matched ones alone.
    """

    tasks: tuple[TaskKind, ...] = ("instance",)

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Measure the objects of one image, summed by class: the columns `COUNTED` …, values, values of matches."""
        true, seen = as_instances(target, predicted, classes)
        kept, real = np.flatnonzero(seen.scores >= INSTANCE_SCORE), np.flatnonzero(~true.crowd)
        longest, steps = diagonal(tuple(true.size), true.spacing), step_sizes(true.spacing)
        worst = np.asarray(self.worst(longest))
        table = np.zeros((len(classes), VALUES + 2 * len(worst)))
        of_true, excused = _matches(true, seen, kept, real)
        for g, d in zip(real.tolist(), of_true.tolist(), strict=True):
            row = table[true.class_ids[g]]
            row[column.COUNTED] += 1
            if d < 0:
                row[column.MISSED] += 1
                row[VALUES : VALUES + len(worst)] += worst
                continue
            surfaces = mask_surface(true.masks[g]), mask_surface(seen.masks[kept[d]])
            found = distances_of(int(true.class_ids[g]), *surfaces, steps)
            if found is None:
                raise ShapeError("two matched objects have no pixels")
            row[column.BOTH] += 1
            row[VALUES:] += np.tile(self.measures(found, longest), 2)
        for d in np.flatnonzero(~np.isin(np.arange(len(kept)), of_true) & ~excused):
            row = table[seen.class_ids[kept[d]]]
            row[[column.COUNTED, column.INVENTED]] += 1
            row[VALUES : VALUES + len(worst)] += worst
        table[:, column.IN_MM] = column.IN_PIXELS if true.spacing is None else column.IN_MILLIMETRES
        return table

    def _dialects(self, statistics: NDArray[np.float64]) -> dict[str, float | None]:
        pooled = statistics.sum(axis=0)
        values = (pooled.shape[-1] - VALUES) // 2
        matched = ratio(pooled[:, VALUES + values + self.column], pooled[:, column.BOTH])
        averages = {name: column_mean(pooled, VALUES + place) for name, place in self.dialects.items()}
        return {**averages, "where_both_are": defined(mean_of_defined(matched))}


@dataclass(frozen=True)
class ObjectToleranceMetric(ObjectDistanceMetric, ToleranceMetric):
    """One that depends on a tolerance."""


def _matches(
    true: Instances, seen: Instances, kept: NDArray[np.int64], real: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which kept detection each true object has from an IoU of 0.5 on, -1 for none; which lie in a crowd."""
    true_stack, stack = stacks(true, seen.chosen(kept))
    same = seen.class_ids[kept][:, None] == true.class_ids[None]
    shared = intersections(stack, true_stack, same)
    in_crowd = (ratio(shared[:, true.crowd], stack.areas[:, None]) > 0.5).any(axis=1)
    union = stack.areas[:, None] + true_stack.areas[None] - shared
    ious = np.where(shared > 0, shared / np.maximum(union, 1), 0.0)[:, real]
    return match_objects(np.where(ious >= MATCH_IOU - 1e-12, ious, 0.0)), np.asarray(in_crowd)
