"""Holds what the metrics of semantic segmentation share: counting, pooling over images, and the score.

All overlap metrics are functions of three counts per class, pooled over the data set: pixels that
are truly of the class, pixels predicted as the class, and pixels that are both. Void pixels of the
target are left out of all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION, Metric
from bench.metrics._bootstrap import Interval, left_out_interval, mean_of_defined, ratio, resampled_sums
from bench.metrics._confusion import confusion_counts
from bench.metrics._pooled import DeclaredMetric, both_of, require_shape
from bench.records import ClassSpec, Score, TaskKind, void_of
from bench.records.predictions import Prediction, SemanticMap

NO_IMAGE = "no image was scored"
NO_PIXEL = "every pixel of every target is void"


def as_label_maps(target: Prediction, predicted: Prediction) -> tuple[SemanticMap, SemanticMap]:
    """Return both as label maps (ground truth first); raises `ShapeError` for another form or size."""
    advice = "; reduce them first with bench.score.reduce"
    return both_of(SemanticMap, "a semantic metric compares two SemanticMaps", target, predicted, advice=advice)


@dataclass(frozen=True)
class ClassTotals:
    """Pixels per class; a leading axis, if any, runs over images or over resamples.

    Attributes:
        true positives: Truly of the class and predicted as it, shape (..., K).
        target: Truly of the class, whatever was predicted, shape (..., K).
        predicted: Predicted as the class on a pixel that is not void, shape (..., K).
    """

    true_positives: NDArray[np.int64] | NDArray[np.float64]
    target: NDArray[np.int64] | NDArray[np.float64]
    predicted: NDArray[np.int64] | NDArray[np.float64]

    @property
    def union(self) -> NDArray[np.float64]:
        """Pixels that are truly of the class or predicted as it, shape (..., K)."""
        return np.asarray(self.target + self.predicted - self.true_positives, dtype=np.float64)

    def pooled(self) -> ClassTotals:
        """Sum over the leading axis."""
        return ClassTotals(self.true_positives.sum(axis=0), self.target.sum(axis=0), self.predicted.sum(axis=0))


def class_totals(statistics: NDArray[np.int64]) -> ClassTotals:
    """Reduce confusion counts, shape (..., K, K + 1), to the three counts per class."""
    of_class = statistics[..., :-1]  # the last column names no class
    return ClassTotals(
        true_positives=np.diagonal(of_class, axis1=-2, axis2=-1),
        target=statistics.sum(axis=-1),
        predicted=of_class.sum(axis=-2),
    )


TotalsFormula: TypeAlias = Callable[[ClassTotals], NDArray[np.float64]]
"""A number, or one per class, from totals."""


# --------------------------------------------------------------------------- per-class formulas


def class_iou(totals: ClassTotals) -> NDArray[np.float64]:
    """Intersection over union per class, nan where the class occurs nowhere."""
    return ratio(totals.true_positives, totals.union)


def class_dice(totals: ClassTotals) -> NDArray[np.float64]:
    """Dice = F1 per class, nan where the class occurs nowhere."""
    return ratio(2 * totals.true_positives, totals.target + totals.predicted)


def class_precision(totals: ClassTotals) -> NDArray[np.float64]:
    """Share of the predicted pixels that are right, nan where the class is never predicted."""
    return ratio(totals.true_positives, totals.predicted)


def class_recall(totals: ClassTotals) -> NDArray[np.float64]:
    """Share of the true pixels that are found, nan where the class is in no target."""
    return ratio(totals.true_positives, totals.target)


def among(chosen: NDArray[np.bool_], of_class: TotalsFormula) -> TotalsFormula:
    """Return the formula of the chosen classes alone, nan for all others; bool, (K,)."""
    return lambda totals: np.where(chosen, of_class(totals), np.nan)


def class_mean(of_class: TotalsFormula) -> TotalsFormula:
    """Return the mean of a formula over the classes for which it is defined."""
    return lambda totals: mean_of_defined(of_class(totals))


def mean_where(of_class: TotalsFormula, chosen: Callable[[ClassTotals], NDArray[np.bool_]]) -> TotalsFormula:
    """Return the mean of a formula over chosen classes, an undefined one among them counting as zero."""
    return lambda totals: mean_of_defined(np.where(chosen(totals), np.nan_to_num(of_class(totals), nan=0.0), np.nan))


def micro(of_class: TotalsFormula) -> TotalsFormula:
    """Return a formula of all classes' counts added up, as if they were one class."""

    def formula(totals: ClassTotals) -> NDArray[np.float64]:
        counts = (totals.true_positives, totals.target, totals.predicted)
        return of_class(ClassTotals(*(of_each.sum(axis=-1) for of_each in counts)))

    return formula


# --------------------------------------------------------------------------- from counts to a score


@dataclass(frozen=True)
class Formula:
    """Formula of a metric of confusion counts; each function takes and keeps a leading axis.

    Attributes:
        headline: The score, shape (...).
        undefined_because: Why the headline can be undefined although pixels were scored.
        per_class: The score of each class, shape (..., K); None where the metric has none.
        dialects: Named variants of the headline, each from the totals of all images, shape (N, K).
    """

    headline: TotalsFormula
    undefined_because: str
    per_class: TotalsFormula | None = None
    dialects: Mapping[str, TotalsFormula] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ConfusionMetric(DeclaredMetric):
    """A metric of semantic segmentation that is a formula of confusion counts.

    Attributes:
        formula: Formula of the score, or a function from the label space to a formula.
    """

    formula: Formula | Callable[[Sequence[ClassSpec]], Formula]
    tasks: tuple[TaskKind, ...] = ("semantic",)
    higher_is_better: bool = True
    statistic: str = CONFUSION

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Count the pixels of one image by (true class, predicted class or none), shape (K, K + 1)."""
        true_map, predicted_map = as_label_maps(target, predicted)
        return confusion_counts(
            true_map.labels, predicted_map.labels, num_classes=len(classes), ignore=void_of(true_map.labels)
        )

    def score(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score the confusion counts of all images, shape (N, K, K + 1)."""
        draws, formula = self.bootstrap(statistics, classes, seed=seed), self._formula(classes)
        images = class_totals(statistics)
        pooled = images.pooled()
        return build_score(
            self,
            value=defined(formula.headline(pooled)),
            undefined_because=formula.undefined_because,
            draws=draws,
            per_class=None if formula.per_class is None else formula.per_class(pooled),
            classes=classes,
            images=len(statistics),
            pixels=int(pooled.target.sum()),
            dialects={name: defined(dialect(images)) for name, dialect in formula.dialects.items()},
            parts={} if formula.per_class is None else category_means(formula.per_class(pooled), classes),
        )

    def addends(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Return the three counts of each class and image, int64, (N, 3, K)."""
        require_shape(statistics, classes, len(classes), len(classes) + 1)
        totals = class_totals(statistics)
        return np.stack([totals.true_positives, totals.target, totals.predicted], axis=1).astype(np.int64)

    def headline(self, sums: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the headline of sums of the three counts, (..., 3, K)."""
        return self._formula(classes).headline(ClassTotals(*np.moveaxis(sums, -2, 0)))

    def per_class_left_out(
        self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Return each class's score with each image, or group, left out, shape (units, K); as `bootstrap`."""
        per_class = self._formula(classes).per_class
        if per_class is None:
            return np.empty((0, len(classes)))
        return per_class(ClassTotals(*np.moveaxis(resampled_sums(self.addends(statistics, classes), seed=seed), -2, 0)))

    def _formula(self, classes: Sequence[ClassSpec]) -> Formula:
        return self.formula if isinstance(self.formula, Formula) else self.formula(classes)


def build_score(
    metric: Metric,
    *,
    value: float | None,
    undefined_because: str,
    draws: NDArray[np.float64],
    per_class: NDArray[np.float64] | None,
    classes: Sequence[ClassSpec],
    images: int,
    pixels: int | None = None,
    dialects: Mapping[str, float | None] = MappingProxyType({}),
    parts: Mapping[str, float | None] = MappingProxyType({}),
    counts: Mapping[str, int] = MappingProxyType({}),
    unit: str | None = None,
    bounds: tuple[float | None, float | None] = (0.0, 1.0),
) -> Score:
    """Assemble a record; a single image, or group, has no interval, for it tells nothing of others."""
    interval = Interval(None, None) if value is None else left_out_interval(value, draws, bounds)
    if images == 0:
        undefined_because = NO_IMAGE
    elif pixels == 0:
        undefined_because = NO_PIXEL
    return Score(
        metric=metric.name,
        version=metric.version,
        value=value,
        undefined_because=undefined_because if value is None else None,
        low=interval.low,
        high=interval.high,
        error=interval.error,
        per_class=by_class_name(per_class, classes),
        classes_scored=None if per_class is None else int((~np.isnan(per_class)).sum()),
        images=images,
        pixels=pixels,
        dialects=dict(dialects),
        parts=dict(parts),
        counts=dict(counts),
        unit=unit,
        definition=metric.definition,
        bounds=bounds,
    )


def category_means(per_class: NDArray[np.float64], classes: Sequence[ClassSpec]) -> dict[str, float | None]:
    """Return the mean of each category's classes; nothing where the label space has fewer than two categories."""
    names = list(dict.fromkeys(spec.category for spec in classes if spec.category is not None))
    if len(names) < 2:
        return {}
    members = {name: np.array([spec.category == name for spec in classes]) for name in names}
    return {name: defined(mean_of_defined(np.where(chosen, per_class, np.nan))) for name, chosen in members.items()}


def by_class_name(values: NDArray[np.float64] | None, classes: Sequence[ClassSpec]) -> dict[str, float | None]:
    """Return class name -> value, None where it is undefined; nothing where there are no values."""
    if values is None:
        return {}
    return {spec.name: defined(value) for spec, value in zip(classes, values, strict=True)}


def defined(value: NDArray[np.float64] | np.float64 | float) -> float | None:
    """Return a single value as a float, None for nan."""
    number = float(value)
    return None if np.isnan(number) else number


def per_image(formula: TotalsFormula) -> TotalsFormula:
    """Return the dialect that averages the formula over images, skipping images without a value."""
    return lambda images: mean_of_defined(formula(images))


def over_dataset(formula: TotalsFormula) -> TotalsFormula:
    """Return the dialect that applies the formula to the counts pooled over all images."""
    return lambda images: formula(images.pooled())
