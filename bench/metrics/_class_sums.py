"""Metrics that are a formula of sums per image and class: over the pooled sums, or averaged over images.

What one image comes to is a table of sums, a row per class: numbers of objects, pixels, values to be averaged. A
metric is a formula from such a row to a value, applied to the sums of all images, or to those of each image and then
averaged over the images where it is defined. The headline is the mean over classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._pooled import DeclaredMetric, require_shape
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

Sums: TypeAlias = NDArray[np.float64]
"""Sums over an image, over several or of resamples, shape (..., K, C)."""

ClassFormula: TypeAlias = Callable[[Sums], NDArray[np.float64]]
"""A number for each class from sums, (..., K, C) -> (..., K); nan where it is undefined."""


def quotient(numerator: int, denominator: int) -> ClassFormula:
    """Return the formula that divides one column of the sums by another."""
    return lambda sums: ratio(sums[..., numerator], sums[..., denominator])


def f1_of(first: ClassFormula, second: ClassFormula) -> ClassFormula:
    """Return the harmonic mean of two shares, 0 where both are 0, nan where both are undefined.

    Where one of them is undefined it is 0: what cannot be right is not.
    """

    def formula(sums: Sums) -> NDArray[np.float64]:
        a, b = first(sums), second(sums)
        neither = np.isnan(a) & np.isnan(b)
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        return np.where(neither, np.nan, np.nan_to_num(ratio(2 * a * b, a + b)))

    return formula


@dataclass(frozen=True, kw_only=True)
class SumsMetric(DeclaredMetric):
    """A metric that is a formula of sums per image and class.

    Attributes:
        observed: Function that returns the sums of one image, (K, C), or its rows.
        columns: Number of columns, C, for the check of stored sums.
        formula: The value of each class.
        undefined_because: Reason why there can be no headline.
        over: Pooling of a class's sums over all images, or averaging of its values over images.
        summed: Rows of all images, and K -> sums, (N, K, C); None where `observed` returns sums.
        parts: Companion figures, averaged like the headline.
        by_kind: Further ones, also told of things and of stuff alone; the first is the headline over all classes.
        dialects: Named variants, each from the sums of all images, (N, K, C).
        counts: Name of each count that is shown beside it -> its column.
        unit: Unit of the value; None for a share of 0 to 1.
        pixels: Column of the pixels that are scored; None where pixels are not what is summed.
        needs: Packages beyond the harness's own: module -> extra that installs it.
    """

    observed: Callable[[Prediction, Prediction, Sequence[ClassSpec]], Sums | Rows]
    columns: int
    formula: ClassFormula
    undefined_because: str = "no class but the background occurs in any target or prediction"
    over: Literal["pooled", "images"] = "pooled"
    summed: Callable[[NDArray[np.float64], int], Sums] | None = None
    parts: Mapping[str, ClassFormula] = field(default_factory=dict)
    by_kind: Mapping[str, ClassFormula] = field(default_factory=dict)
    dialects: Mapping[str, Callable[[Sums], NDArray[np.float64]]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    unit: str | None = None
    pixels: int | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    higher_is_better: bool = True
    tasks: tuple[TaskKind, ...] = ("semantic",)

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums | Rows:
        """Return the sums or rows of one image."""
        return self.observed(target, predicted, classes)

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score what all images come to, with companion figures and counts."""
        sums = self._sums(statistics, classes)
        per_class, pooled = self._over_images(sums, self.formula), sums.sum(axis=(0, 1))
        return build_score(
            self,
            value=defined(mean_of_defined(per_class)),
            undefined_because=self.undefined_because,
            draws=self.bootstrap(statistics, classes, seed=seed),
            per_class=per_class,
            classes=classes,
            images=len(sums),
            pixels=None if self.pixels is None else int(pooled[self.pixels]),
            parts=self._parts(sums, classes),
            dialects={k: defined(one(sums)) for k, one in self.dialects.items()},
            counts={name: int(pooled[column]) for name, column in self.counts.items()},
            unit=self.unit,
            bounds=(0.0, 1.0) if self.unit is None else (0.0, None),
        )

    def _parts(self, sums: Sums, classes: Sequence[ClassSpec]) -> dict[str, float | None]:
        things = np.array([spec.is_thing for spec in classes], dtype=np.bool_)
        groups = {"": np.ones_like(things), "_things": things, "_stuff": ~things}
        figures = {name: self._over_images(sums, one) for name, one in self.parts.items()}
        by_kind = {name: self._over_images(sums, one) for name, one in self.by_kind.items()}
        for suffix, group in groups.items():
            figures |= {f"{name}{suffix}": np.where(group, values, np.nan) for name, values in by_kind.items()}
        headline = next(iter(self.by_kind), None)
        return {name: defined(mean_of_defined(values)) for name, values in figures.items() if name != headline}

    def _over_images(self, sums: Sums, formula: ClassFormula) -> NDArray[np.float64]:
        return formula(sums.sum(axis=0)) if self.over == "pooled" else mean_of_defined(formula(sums), axis=0)

    def _sums(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec]) -> Sums:
        sums = statistics if self.summed is None else self.summed(statistics, len(classes))
        require_shape(sums, classes, len(classes), self.columns)
        return sums

    def addends(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the sums of each image, (N, K, C); over images the values of its classes, and which have one."""
        sums = self._sums(statistics, classes)
        if self.over == "pooled":
            return sums
        values = self.formula(sums)
        known = ~np.isnan(values)
        return np.stack([np.where(known, values, 0.0), known], axis=-1)

    def headline(self, sums: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the mean over classes of what they come to in sums, nan where it is undefined."""
        return mean_of_defined(self.formula(sums) if self.over == "pooled" else ratio(sums[..., 0], sums[..., 1]))


def per_image_of(formula: ClassFormula) -> Callable[[Sums], NDArray[np.float64]]:
    """Return the dialect that averages a class's values over images, then over classes."""
    return lambda sums: mean_of_defined(mean_of_defined(formula(sums), axis=0))


def pooled_of(formula: ClassFormula) -> Callable[[Sums], NDArray[np.float64]]:
    """Return the dialect that pools a class's sums over all images, then averages over classes."""
    return lambda sums: mean_of_defined(formula(sums.sum(axis=0)))
