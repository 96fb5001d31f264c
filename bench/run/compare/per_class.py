"""The difference of two models in the score of one class, paired over images like that of their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.metric import Metric
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.score.stats.jackknife import estimate, left_out_together
from bench.score.stats.student import Estimate


@dataclass(frozen=True)
class ClassDifference:
    """A class's score on both sides, and its difference (after less before) with a standard error, None without."""

    before: float
    after: float
    estimate: Estimate | None


def class_differences(
    before: Statistics, after: Statistics, metric: Metric, classes: Sequence[ClassSpec], name: str, *, seed: int
) -> ClassDifference | str:
    """Compare the score of a class.

    Args:
        before, after: Statistics of the same images, in any order.
        metric: The metric that is compared.
        classes: The label space of both.
        name: Name of the class.
        seed: Seed of the parts that many images are left out in.

    Returns:
        The difference, or why there is none.
    """
    names = [spec.name for spec in classes]
    left_out = getattr(metric, "per_class_left_out", None)
    if name not in names:
        return f"no class {name!r}"
    if left_out is None:
        return f"{metric.name} has no interval for single classes"
    index, values, without = names.index(name), [], []
    for one in (before, after):
        array = one.in_order_of(before.image_ids, metric.statistic)
        score = metric.score(array, classes, seed=seed).per_class.get(name)
        if score is None:
            return "the class occurs on neither side, or its score is undefined"
        values.append(score)
        with left_out_together(one.groups_of(before.image_ids)):
            without.append(np.asarray(left_out(array, classes, seed=seed))[:, index])
    return ClassDifference(values[0], values[1], estimate(values[1] - values[0], without[1] - without[0]))
