"""Holds what the metrics of surfaces share: a few numbers per image and class, their means, and what is missed.

A metric of surfaces has a value for each image and class that is true or predicted there. The value of a class is the
mean over its images, the headline the mean over classes; the background has none. A class that is true and nowhere
predicted in an image (missed), or predicted and nowhere true (invented), takes the worst value, so that a model does
not gain by missing, and both are counted. Of single objects the distances between matched masks are taken, misses and
false alarms at the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._masks import intersections, stacks
from bench.metrics._matching import as_instances
from bench.metrics._objects import match_objects
from bench.metrics._pooled import DeclaredMetric, require_shape
from bench.metrics._semantic import as_label_maps, build_score, defined
from bench.metrics._surfaces import Distances, class_distances, diagonal, distances_of, step_sizes, surface_points
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import INSTANCE_SCORE, Instances, Prediction, SemanticMap

COUNTED, BOTH, MISSED, INVENTED, IN_MM, VALUES = range(6)
"""Columns of the statistics of a class in an image; from `VALUES` on those that a metric measures."""

IN_PIXELS, IN_MILLIMETRES = 1, 2
"""Values of the column `IN_MM`; it is 0 for an image whose volume stands in another row."""


@dataclass(frozen=True)
class SurfaceMetric(DeclaredMetric):
    """A metric of the distances between surfaces, as the mean over images and then over classes.

    Attributes:
        measures: The values of a class from its distances and the image's diagonal, (V,).
        worst: The values of a class that is missed or invented, from the image's diagonal, (V,).
        column: Index of the value that is the headline.
        dialects: Named variants of the headline, each one of the values.
        parts: Companion figures, each one of the values.
        is_distance: True if values are distances, in millimetres or pixels; False if they are shares of 0 to 1.
        by_volume: True if it is observed on volumes and not on images.
    """

    measures: Callable[[Distances, float], Sequence[float]]
    worst: Callable[[float], Sequence[float]]
    column: int = 0
    dialects: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    is_distance: bool = True
    by_volume: bool = False
    tasks: tuple[TaskKind, ...] = ("semantic",)

    @property
    def higher_is_better(self) -> bool:
        """A distance is better the smaller it is, a share the larger."""
        return not self.is_distance

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Measure one image: for each class the columns `COUNTED` … and the values, shape (K, 5 + V)."""
        return self.observe_volume(*as_label_maps(target, predicted), classes)

    def observe_volume(
        self, target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]
    ) -> NDArray[np.float64]:
        """Measure one image or volume, label maps of shape (H, W) or (S, H, W)."""
        longest = diagonal(target.labels.shape, target.spacing)
        worst = self.worst(longest)
        table = np.zeros((len(classes), VALUES + len(worst)))
        table[:, IN_MM] = IN_MILLIMETRES if target.spacing is not None else IN_PIXELS
        for one in class_distances(target, predicted, classes):
            lost = one.missed or one.invented
            table[one.class_id, [COUNTED, BOTH, MISSED, INVENTED]] = 1, not lost, one.missed, one.invented
            table[one.class_id, VALUES:] = worst if lost else self.measures(one, longest)
        return table

    def empty(self, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the statistics of an image that has none of its own."""
        return np.zeros((len(classes), VALUES + len(self.worst(1.0))))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score the measures of all images, shape (N, K, 5 + V)."""
        draws = self.bootstrap(statistics, classes, seed=seed)
        pooled, mixed = statistics.sum(axis=0), is_mixed(statistics)
        per_class = class_means(pooled, self.column)
        if mixed:
            per_class = np.full_like(per_class, np.nan)
        counts = {"missed": int(pooled[:, MISSED].sum()), "invented": int(pooled[:, INVENTED].sum())}
        volumes = int(statistics[..., IN_MM].any(axis=1).sum()) if statistics.size else 0
        return build_score(
            self,
            value=defined(mean_of_defined(per_class)),
            undefined_because=self._undefined_because(statistics, mixed),
            draws=draws,
            per_class=per_class,
            classes=classes,
            images=len(statistics),
            dialects={} if mixed else self._dialects(statistics),
            parts={} if mixed else {k: column_mean(pooled, VALUES + column) for k, column in self.parts.items()},
            counts={"volumes": volumes, **counts} if self.by_volume else counts,
            unit=("mm" if (statistics[..., IN_MM] == IN_MILLIMETRES).any() else "px") if self.is_distance else None,
            bounds=(0.0, None) if self.is_distance else (0.0, 1.0),
        )

    def _dialects(self, statistics: NDArray[np.float64]) -> dict[str, float | None]:
        value = VALUES + self.column
        found = np.where(statistics[..., BOTH] > 0, statistics[..., value], 0.0)
        both = mean_of_defined(ratio(found.sum(axis=0), statistics[..., BOTH].sum(axis=0)))
        by_image = np.where(statistics[..., COUNTED] > 0, statistics[..., value], np.nan)
        pooled = statistics.sum(axis=0)
        return {
            **{name: column_mean(pooled, VALUES + column) for name, column in self.dialects.items()},
            "where_both_are": defined(both),
            "per_image": defined(mean_of_defined(mean_of_defined(by_image))),
        }

    def _undefined_because(self, statistics: NDArray[np.float64], mixed: bool) -> str:
        if mixed:
            return _mixture(statistics)
        if self.by_volume and not statistics[..., IN_MM].any():
            return "no image of the data set is a slice of a volume"
        return "no class but the background occurs in any target or prediction"

    def addends(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return whether each image counts for each class, and its value, (N, K, 2)."""
        require_shape(statistics, classes, len(classes), statistics.shape[-1])
        return statistics[..., [COUNTED, VALUES + self.column]]

    def headline(self, sums: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the mean over classes of the mean over images, nan where no class but the background occurs."""
        return mean_of_defined(ratio(sums[..., 1], sums[..., 0]))

    def bootstrap(
        self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Return the headline as others do, (units,), but nan for a mixture of millimetres and pixels."""
        draws = super().bootstrap(statistics, classes, seed=seed)
        return np.full_like(draws, np.nan) if is_mixed(statistics) else draws


@dataclass(frozen=True)
class ToleranceMetric(SurfaceMetric):
    """A metric of surfaces that depends on a tolerance, which a suite can set: `name@tolerance`.

    Attributes:
        tolerant: Returns `measures` for a tolerance; None is the metric's own one.
        tolerance: Tolerance in millimetres where the spacing is known, else in pixels; None is the metric's own one.
        told: The definition with `{}` in the place of the tolerance.
    """

    worst: Callable[[float], Sequence[float]] = lambda _: (0.0,)
    is_distance: bool = False
    tolerant: Callable[[float | None], Callable[[Distances, float], Sequence[float]]] = lambda _: lambda *_: ()
    tolerance: float | None = None
    told: str = ""

    def at(self, tolerance: float) -> ToleranceMetric:
        """Return the metric at another tolerance."""
        told = self.told.format(f"{tolerance:g} mm, or pixels where the spacing is not known")
        return self.renamed(tolerance, tolerance=tolerance, measures=self.tolerant(tolerance), definition=told)


def class_means(pooled: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    """Mean over the images of each class, nan where it is in none; from sums, (..., K, 5 + V)."""
    return ratio(pooled[..., VALUES + column], pooled[..., COUNTED])


def is_mixed(statistics: NDArray[np.float64]) -> bool:
    """Return whether some images are measured in millimetres and some in pixels."""
    return all((statistics[..., IN_MM] == unit).any() for unit in (IN_PIXELS, IN_MILLIMETRES))


def _mixture(statistics: NDArray[np.float64]) -> str:
    known, unknown = (int((statistics[:, 0, IN_MM] == unit).sum()) for unit in (IN_MILLIMETRES, IN_PIXELS))
    return f"{known} of {known + unknown} images have a known spacing; millimetres and pixels have no common mean"


def column_mean(pooled: NDArray[np.float64], column: int) -> float | None:
    """Return the mean over classes of the mean of a column over images; None where it is undefined."""
    return defined(mean_of_defined(ratio(pooled[:, column], pooled[:, COUNTED])))


# --------------------------------------------------------------------------- of single objects

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
            row[COUNTED] += 1
            if d < 0:
                row[MISSED] += 1
                row[VALUES : VALUES + len(worst)] += worst
                continue
            surfaces = mask_surface(true.masks[g]), mask_surface(seen.masks[kept[d]])
            found = distances_of(int(true.class_ids[g]), *surfaces, steps)
            if found is None:
                raise ShapeError("two matched objects have no pixels")
            row[BOTH] += 1
            row[VALUES:] += np.tile(self.measures(found, longest), 2)
        for d in np.flatnonzero(~np.isin(np.arange(len(kept)), of_true) & ~excused):
            row = table[seen.class_ids[kept[d]]]
            row[[COUNTED, INVENTED]] += 1
            row[VALUES : VALUES + len(worst)] += worst
        table[:, IN_MM] = IN_PIXELS if true.spacing is None else IN_MILLIMETRES
        return table

    def _dialects(self, statistics: NDArray[np.float64]) -> dict[str, float | None]:
        pooled = statistics.sum(axis=0)
        values = (pooled.shape[-1] - VALUES) // 2
        matched = ratio(pooled[:, VALUES + values + self.column], pooled[:, BOTH])
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
