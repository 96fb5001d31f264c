"""Holds what the metrics of probabilities share: counts of pixels by level of probability, and the score made of them.

Probabilities are stored in 256 levels (`bench.records.probabilities`), so that a table of counts by level holds all
that these metrics ask of an image, exactly: every threshold, every bin and every order of pixels. Pixels of one level
are tied; where an order is needed they are passed in equal shares.

Two tables are counted. `confidence_levels`, (256, 2), has the pixels by the level of the class that is predicted:
all of them, and those that are right. `probability_levels`, (K, 256, 2), has them by the level of each class: pixels
that are truly of it, and all others. Void pixels of the ground truth are in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._pooled import DeclaredMetric, require_shape
from bench.metrics._semantic import as_label_maps, build_score, defined
from bench.records import ClassSpec, Score, TaskKind, background_class, void_of
from bench.records.predictions import Prediction
from bench.records.probabilities import LEVELS, ClassProbabilities

Counts: TypeAlias = NDArray[np.float64]
"""Sums over an image, over several or with some left out; a leading axis, if any, runs over these."""

Observe: TypeAlias = Callable[[Prediction, Prediction, ClassProbabilities, Sequence[ClassSpec]], NDArray[np.int64]]

CONFIDENCE, PER_CLASS = "confidence_levels", "probability_levels"
ALL, RIGHT = 0, 1
"""Columns of `confidence_levels`."""
POSITIVE, NEGATIVE = 0, 1
"""Columns of `probability_levels`."""

PROBABILITY = np.arange(LEVELS) / (LEVELS - 1)
"""Probability of each level, (256,)."""


def confidence_levels(
    target: Prediction, predicted: Prediction, probabilities: ClassProbabilities, classes: Sequence[ClassSpec]
) -> NDArray[np.int64]:
    """Count the pixels of an image by the level of the class that is predicted, (256, 2): all, and those right.

    A pixel whose prediction names no class has level 0 and is wrong.
    """
    true_map, predicted_map = as_label_maps(target, predicted)
    levels = fitting(probabilities, true_map.labels.shape, classes)
    known = true_map.labels != void_of(true_map.labels)
    ground_truth, named = true_map.labels[known], predicted_map.labels[known].astype(np.int64)
    says = named < len(classes)
    rows, columns = np.nonzero(known)
    of_named = np.where(says, levels[np.where(says, named, 0), rows, columns], 0)
    right = says & (named == ground_truth)
    return np.stack(
        [np.bincount(of_named, minlength=LEVELS), np.bincount(of_named[right], minlength=LEVELS)], axis=-1
    ).astype(np.int64)


def class_levels(
    target: Prediction, predicted: Prediction, probabilities: ClassProbabilities, classes: Sequence[ClassSpec]
) -> NDArray[np.int64]:
    """Count the pixels of an image by the level of each class, int32, (K, 256, 2): those of the class, and others."""
    true_map, _ = as_label_maps(target, predicted)
    levels = fitting(probabilities, true_map.labels.shape, classes)
    known = true_map.labels != void_of(true_map.labels)
    ground_truth = true_map.labels[known].astype(np.int64)
    counts = np.empty((len(classes), LEVELS, 2), dtype=np.int32)
    for class_id in range(len(classes)):
        of_class = levels[class_id][known]
        every = np.bincount(of_class, minlength=LEVELS)
        counts[class_id, :, POSITIVE] = np.bincount(of_class[ground_truth == class_id], minlength=LEVELS)
        counts[class_id, :, NEGATIVE] = every - counts[class_id, :, POSITIVE]
    return counts  # type: ignore[return-value]  # int32 halves what is kept of many images


def fitting(
    probabilities: ClassProbabilities, shape: tuple[int, ...], classes: Sequence[ClassSpec]
) -> NDArray[np.uint8]:
    """Return the levels, uint8, (K, H, W); raises `ShapeError` if they are of another size or number of classes."""
    if probabilities.levels.shape != (len(classes), *shape):
        raise ShapeError(
            f"the probabilities have shape {probabilities.levels.shape}; {len(classes)} classes at the size of the "
            f"target need {(len(classes), *shape)}"
        )
    return probabilities.levels


def above(levels: Counts) -> Counts:
    """Return counts of pixels at each level or above it, along the axis of levels, the last but one."""
    return np.flip(np.cumsum(np.flip(levels, axis=-2), axis=-2), axis=-2)


@dataclass(frozen=True, kw_only=True)
class ProbabilityMetric(DeclaredMetric):
    """A metric of semantic segmentation that is a formula of counts by level of probability.

    Attributes:
        observed: Function that counts one image.
        shape: Shape of the counts of one image, given the number of classes.
        formula: Counts -> the headline, (...) for a leading axis; or with `per_class` a value for each class, (..., K),
            whose mean over classes is the headline.
        undefined_because: Reason why there may be no value although pixels were scored.
        per_class: True if the formula has a value for each class.
        of_each: Counts -> a value for each class, (..., K), that is listed beside a headline without classes.
        foreground: True if the mean leaves the background out.
        parts: Companion figures, name -> formula as `formula`.
        best: The largest value that it can take.
        needs_probabilities: True if a suite needs `keep: probabilities` for it.
    """

    statistic: str = CONFIDENCE
    observed: Observe = confidence_levels
    shape: Callable[[int], tuple[int, ...]] = lambda _: (LEVELS, 2)
    formula: Callable[[Counts], NDArray[np.float64]]
    undefined_because: str = "every pixel of every target is void"
    per_class: bool = False
    of_each: Callable[[Counts], NDArray[np.float64]] | None = None
    foreground: bool = False
    parts: Mapping[str, Callable[[Counts], NDArray[np.float64]]] = field(default_factory=dict)
    higher_is_better: bool = True
    best: float = 1.0
    tasks: tuple[TaskKind, ...] = ("semantic",)
    needs_probabilities: bool = True

    def observe(
        self,
        target: Prediction,  # noqa: ARG002
        predicted: Prediction,
        classes: Sequence[ClassSpec],  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """Refuse a prediction without probabilities; see `observe_probabilities`."""
        raise ShapeError(
            f"{self.name} is computed from probabilities, and these are {type(predicted).__name__}s alone; "
            "score a suite with keep: probabilities"
        )

    def observe_probabilities(
        self, target: Prediction, predicted: Prediction, probabilities: ClassProbabilities, classes: Sequence[ClassSpec]
    ) -> NDArray[np.int64]:
        """Count the pixels of one image."""
        return self.observed(target, predicted, probabilities, classes)

    def score(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score the counts of all images, shape (N, ...)."""
        pooled = np.asarray(self.addends(statistics, classes).sum(axis=0), dtype=np.float64)
        each = self.formula if self.per_class else self.of_each
        return build_score(
            self,
            value=defined(self.headline(pooled, classes)),
            undefined_because=self.undefined_because,
            draws=self.bootstrap(statistics, classes, seed=seed),
            per_class=None if each is None else each(pooled),
            classes=classes,
            images=len(statistics),
            parts={name: defined(self._mean(part(pooled), classes)) for name, part in self.parts.items()},
            bounds=(0.0, self.best),
        )

    def addends(self, statistics: NDArray[np.int64], classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Return the counts, of shape (N, ...)."""
        require_shape(statistics, classes, *self.shape(len(classes)))
        return statistics

    def headline(self, sums: Counts, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the headline of sums of counts, nan where it is undefined."""
        return self._mean(self.formula(sums), classes)

    def _mean(self, values: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        if not self.per_class:
            return values
        nothing = background_class(classes) if self.foreground else None
        kept = np.array([class_id != nothing for class_id in range(len(classes))])
        return mean_of_defined(np.where(kept, values, np.nan))


# --------------------------------------------------------------------------- bins


BINS = 15
"""Bins of confidence, of equal width, 17 levels each; level 0 is in the first."""
_BIN_OF_LEVEL = np.maximum(np.arange(LEVELS) - 1, 0) // ((LEVELS - 1) // BINS)


@dataclass(frozen=True)
class Bins:
    """Pixels in bins of confidence; a leading axis, if any, runs over resamples.

    Attributes:
        pixels: Number of pixels, (..., B).
        confidence: Sum of the confidences that they claim, (..., B).
        right: Number of pixels that are right, (..., B).
    """

    pixels: Counts
    confidence: Counts
    right: Counts

    def gap(self) -> NDArray[np.float64]:
        """Return the mean over pixels of |share right - mean confidence| of their bin, (...)."""
        return ratio(np.abs(self.right - self.confidence).sum(axis=-1), self.pixels.sum(axis=-1))

    def largest_gap(self) -> NDArray[np.float64]:
        """Return the largest |share right - mean confidence| of a bin that has pixels, (...); nan without any."""
        gaps = ratio(np.abs(self.right - self.confidence), self.pixels)
        return np.where(self.pixels.sum(axis=-1) > 0, np.nan_to_num(gaps).max(axis=-1), np.nan)


def equal_width(counts: Counts) -> Bins:
    """Put pixels into 15 bins by confidence, the upper end of each within it (Guo et al.)."""
    of_bin = np.zeros((LEVELS, BINS))
    of_bin[np.arange(LEVELS), _BIN_OF_LEVEL] = 1
    pixels, right = counts[..., ALL], counts[..., RIGHT]
    return Bins(pixels @ of_bin, (pixels * PROBABILITY) @ of_bin, right @ of_bin)


def equal_mass(counts: Counts) -> Bins:
    """Put pixels, ordered by confidence, into 15 bins of as many each; those of one level go in equal shares."""
    flat = counts.reshape(-1, LEVELS, 2)
    sums = np.stack([flat[..., ALL], flat[..., ALL] * PROBABILITY, flat[..., RIGHT]], axis=1)  # (R, 3, 256)
    passed = np.concatenate([np.zeros((len(flat), 3, 1)), sums.cumsum(axis=-1)], axis=-1)
    shares = np.linspace(0, 1, BINS + 1)
    found = np.zeros((len(flat), 3, BINS))
    for row, one in zip(found, passed, strict=True):
        edges = shares * one[0, -1]
        row[0] = np.diff(edges)
        row[1:] = [np.diff(np.interp(edges, one[0], column)) for column in one[1:]]
    shaped = found.reshape(*counts.shape[:-2], 3, BINS)
    return Bins(shaped[..., 0, :], shaped[..., 1, :], shaped[..., 2, :])


# --------------------------------------------------------------------------- the surest first


def surest_first(counts: Counts) -> tuple[Counts, Counts]:
    """Return how many pixels, and how many right ones, are passed by a walk from the surest level on, (..., 257)."""
    walked = np.flip(counts, axis=-2).cumsum(axis=-2)
    padded = np.concatenate([np.zeros((*counts.shape[:-2], 1, 2)), walked], axis=-2)
    return padded[..., ALL], padded[..., RIGHT]


def right_among(counts: Counts, share: float) -> NDArray[np.float64]:
    """Return the share of right pixels among a share of all, the surest, (...)."""
    pixels, right = surest_first(counts)
    flat = zip(pixels.reshape(-1, LEVELS + 1), right.reshape(-1, LEVELS + 1), strict=True)
    found = [
        np.interp(share * one[-1], one, true_positives) / (share * one[-1]) if one[-1] else np.nan
        for one, true_positives in flat
    ]
    return np.array(found, dtype=np.float64).reshape(counts.shape[:-2])


def risk_area(counts: Counts) -> NDArray[np.float64]:
    """Return the area under the share of wrong pixels among the surest, over coverage from 0 to 1, (...), exactly.

    Within a level right and wrong pixels come in equal shares, so that the wrong ones are a + m c of the pixels c that
    were passed, and the integral of (a + m c) / c from c0 to c1 is m (c1 - c0) + a ln(c1 / c0).
    """
    pixels, right = surest_first(counts)
    wrong, total = pixels - right, pixels[..., -1:]
    passed = np.diff(pixels, axis=-1)
    slope = ratio(np.diff(wrong, axis=-1), passed)
    slope = np.nan_to_num(slope)
    offset = wrong[..., :-1] - slope * pixels[..., :-1]
    begun = pixels[..., :-1] > 0
    log = np.log(np.where(begun, pixels[..., 1:], 1.0) / np.where(begun, pixels[..., :-1], 1.0))
    return ratio((slope * passed + np.where(begun, offset * log, 0.0)).sum(axis=-1), total[..., 0])
