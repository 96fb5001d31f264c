"""Area under the precision-recall curve of each class over all thresholds.

What it measures:
    How well the probability of a class ranks its pixels before all others, whatever threshold is chosen; unlike the
    area under the ROC curve it is not flattered by a large background.

Definition:
    For each class, one-versus-rest, pixels of all images are called positive from a threshold on. With precision P and
    recall R at each of the 256 stored levels from the highest down, the area is the sum of (R_n - R_(n-1)) P_n,
    without interpolation (average precision). The headline is the mean over the classes that are true somewhere,
    without the background. Void pixels are left out.

When undefined:
    A class without a true pixel has no recall and leaves the mean.

Differs from:
    Integration by trapezoids (`auc(recall, precision)`) is too optimistic between points far apart. COCO's AP is of
    objects, `mask_ap`. Probabilities are rounded to 256 levels; scores that tie there are passed together.

Source:
    Davis & Goadrich, The Relationship Between Precision-Recall and ROC Curves, ICML 2006; scikit-learn 1.x,
    `average_precision_score`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._probabilities import PER_CLASS, POSITIVE, Counts, ProbabilityMetric, class_levels
from bench.records import ClassSpec, background_class
from bench.records.probabilities import LEVELS


def area(counts: Counts) -> NDArray[np.float64]:
    """Return the average precision of each class, (..., K); nan where it is never true."""
    walked = np.flip(counts, axis=-2).cumsum(axis=-2)
    true_positives, called = walked[..., POSITIVE], walked.sum(axis=-1)
    gained = np.flip(counts[..., POSITIVE], axis=-1)
    precision = np.nan_to_num(ratio(true_positives, called))
    return ratio((gained * precision).sum(axis=-1), true_positives[..., -1])


def prevalence(counts: Counts) -> NDArray[np.float64]:
    """Return the share of each class among all pixels, the area of a guess, (..., K); nan where it is never true."""
    true, all_of_it = counts[..., POSITIVE].sum(axis=-1), counts.sum(axis=(-1, -2))
    return np.where(true > 0, ratio(true, all_of_it), np.nan)


RECALLS = tuple(step / 50 for step in range(1, 51))


def precision_recall(counts: Counts, classes: Sequence[ClassSpec]) -> list[tuple[float, float]]:
    """Return (recall, precision) for a curve: the mean over classes without background of what reaches that recall.

    Args:
        counts: Pixels by level, (K, 256, 2).
    """
    walked = np.flip(np.asarray(counts, dtype=np.float64), axis=-2).cumsum(axis=-2)
    true_positives, called = walked[..., POSITIVE], walked.sum(axis=-1)
    nothing = background_class(classes)
    curves = []
    for class_id in range(len(classes)):
        true = true_positives[class_id, -1]
        if not true or class_id == nothing:
            continue
        reached = np.searchsorted(true_positives[class_id], np.array(RECALLS) * true - 1e-9)
        curves.append(true_positives[class_id, reached] / called[class_id, reached])
    return [(r, float(p)) for r, p in zip(RECALLS, np.mean(curves, axis=0), strict=True)] if curves else []


METRIC = ProbabilityMetric(
    name="auprc",
    label="AUPRC",
    definition=(
        "mean over classes in a target without background of the area under precision over recall, one-versus-rest "
        "over 256 levels of probability, not interpolated, pixels pooled over images, void left out"
    ),
    statistic=PER_CLASS,
    observed=class_levels,
    shape=lambda classes: (classes, LEVELS, 2),
    formula=area,
    per_class=True,
    foreground=True,
    undefined_because="no class but the background occurs in any target",
    parts={"of a guess": prevalence},
)
