"""Classes that no scored image truly shows, or too few for their scores to say much of other images.

The former are in a mean over classes only because something was taken for them. Whatever is predicted as such a class
is wrong, so that it counts as the worst value there is: one stray pixel of it moves a mean over K classes by about its
K-th part. The number stands as it is defined; this says what it would be without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum, isclose

import numpy as np
from numpy.typing import NDArray

from bench.dataset import GroundTruth
from bench.errors import few
from bench.metric import CONFUSION
from bench.records import ClassSpec, Flag, Score, TaskKind, background_class
from bench.records.store.statistics import Statistics

LEAST_SHARE = 0.01
"""Share of a score below which such classes are not told when they move it by less."""

ADVICE = (
    "score images that show what is named here, or take it out of the data set's classes, for example by labels: "
    "{drop: [NAME], rest: keep}"
)
NAMED = 5
"""Classes that the sentence names at most; the others are counted."""


def classes_in(ground_truth: GroundTruth, kind: TaskKind, classes: int) -> NDArray[np.int64]:
    """Return ids of the classes that an image shows in a form, some of them perhaps several times."""
    if kind == "instance" and ground_truth.instances is not None:
        return ground_truth.instances.class_ids
    if kind == "panoptic" and ground_truth.panoptic is not None:
        return np.array([segment.class_id for segment in ground_truth.panoptic.segments], dtype=np.int64)
    # One pass over the pixels, whatever K is; void is beyond the classes.
    return np.flatnonzero(np.bincount(ground_truth.semantic.labels.ravel(), minlength=classes)[:classes])


def unseen_flag(score: Score, classes: Sequence[ClassSpec], shown: NDArray[np.bool_] | None) -> Flag | None:
    """Return the doubt about a mean over classes that holds classes without ground truth; None about any other score.

    Args:
        shown: True for each class that the ground truth of the scored images shows, bool, (K,).
    """
    if shown is None or score.value is None:
        return None
    values = {name: value for name, value in score.per_class.items() if value is not None}
    unseen = [spec.name for spec, there in zip(classes, shown, strict=True) if not there and spec.name in values]
    nothing = background_class(classes)
    means = [values, values if nothing is None else {k: v for k, v in values.items() if k != classes[nothing].name}]
    averaged = next((one for one in means if one and isclose(_mean(one.values()), score.value, abs_tol=1e-9)), None)
    counted = [] if averaged is None else [name for name in unseen if name in averaged]
    if averaged is None or not counted:
        return None  # no class is unseen, or the headline is no plain mean over classes
    rest = [value for name, value in averaged.items() if name not in counted]
    without = _mean(rest) if rest else None
    if without is not None and abs(without - score.value) < LEAST_SHARE * max(abs(without), abs(score.value)):
        return None
    return Flag(
        name="class_without_ground_truth", seen=_seen(score, counted, values, without, len(rest)), advice=ADVICE
    )


def _seen(score: Score, counted: Sequence[str], values: Mapping[str, float], without: float | None, others: int) -> str:
    """Name the classes, what they count as, and the mean with and without them."""
    unit = f" {score.unit}" if score.unit else ""
    named = few(map(repr, counted), NAMED)
    who = f"class {named} has" if len(counted) == 1 else f"classes {named} have"
    are, count, them = ("is", "counts", "it") if len(counted) == 1 else ("are", "count", "them")
    worst = _mean([values[name] for name in counted])
    told = "undefined" if without is None else f"{without:.3f}{unit}"
    return (
        f"{who} no ground truth in the {score.images} scored images but {are} predicted there, and {count} in "
        f"{score.metric} as {worst:.3f}{unit}: the mean is {score.value:.3f}{unit} with {them} and {told} over the "
        f"other {others}"
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fsum(found) / len(found)


# --------------------------------------------------------------------------- classes of few images

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
