"""Tests whether two models differ: paired over images for scores, over processes for latencies.

Scores and latencies are compared in one way: a difference, its standard error and the degrees of freedom of that make
both the interval and the p-value, by Student's t, so that an interval leaves out 0 exactly where its p is below its
level. Where many are compared, `at_level` gives the interval that goes with Holm's verdict.

Two models are scored on the same images, and most of the spread of a score comes from the images.
Leaving out the same images for both removes it from the difference, which is why two overlapping
intervals can still be a clear difference.

Sources: those of `bench.score.stats.jackknife` and `bench.score.stats.processes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metric import Metric, Observed
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.score.stats.jackknife import estimate, left_out_together
from bench.score.stats.processes import as_ratio, compare_processes, process_percentiles
from bench.score.stats.student import LEVEL, Estimate


@dataclass(frozen=True)
class PairedDifference:
    """The score of A minus the score of B on the same images.

    Attributes:
        difference: The difference; None where a score is undefined.
        low, high: Its 95 % interval, by the same Student's t as `p`: it leaves out 0 exactly where `p` is below
            5 %. Cut to the differences that the metric can take; None with `difference`.
        probability: Probability that A's score is the larger one: half where they are equal.
        p: Two-sided p-value of no difference: the difference over its standard error, which is told by leaving out each
            image, or group of images, for both; see `bench.score.stats.jackknife`.
        images: Number of images in the comparison.
        estimate: Difference, standard error and degrees of freedom behind interval and p-value.
        widest: The largest difference that the metric can take.
    """

    difference: float | None
    low: float | None
    high: float | None
    probability: float | None
    p: float | None
    images: int
    estimate: Estimate | None = None
    widest: float = 1.0

    @property
    def significant(self) -> bool:
        """Return whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def at_level(self, level: float) -> PairedDifference:
        """Return the same with the interval of 1 - `level`, which leaves out 0 exactly where p is below that."""
        if self.estimate is None:
            return self
        half = self.estimate.half(level)
        low, high = max(self.estimate.value - half, -self.widest), min(self.estimate.value + half, self.widest)
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class LatencyRatio:
    """Ratio of the latencies of A and B: a percentile of A over that of B.

    Attributes:
        ratio: Latency of the typical process of A over that of B: the ratio of the geometric means over processes.
        low, high: Its interval, of 95 % unless `at_level` says otherwise. None where A or B was measured in one
            process: two processes of one network differ by more than the samples of either show, so there is nothing
            to tell it from.
        p: Two-sided p-value of no difference, of the same test; None with the interval.
        estimate: Estimate of the logarithm of the ratio.
    """

    ratio: float
    low: float | None
    high: float | None
    p: float | None = None
    estimate: Estimate | None = None

    @property
    def significant(self) -> bool | None:
        """Return whether the interval leaves out one; None without an interval."""
        return None if self.low is None or self.high is None else self.low > 1 or self.high < 1

    def at_level(self, level: float) -> LatencyRatio:
        """Return the same with the interval of 1 - `level`."""
        if self.estimate is None:
            return self
        ratio = as_ratio(self.estimate, level)
        return replace(self, low=ratio.low, high=ratio.high)


def paired_differences(
    statistics: Mapping[str, Statistics], metric: Metric, classes: Sequence[ClassSpec], *, seed: int
) -> dict[tuple[str, str], PairedDifference]:
    """Compare every two models on the images that all were scored on.

    Args:
        statistics: Statistics of each model by its name, each in any order of images.
        metric: The metric that is compared.
        classes: The label space of all.
        seed: Seed of the parts that many images are left out in, the same for every model.

    Returns:
        (A, B) -> difference, A before B in the order given.

    Raises:
        BenchError: If they were scored on different images or one lacks the metric's statistic.
    """
    image_ids: Sequence[str] = next((s.image_ids for s in statistics.values()), ())
    resampled = {}
    for name, of_model in statistics.items():
        check_same_images(image_ids, of_model.image_ids)
        with left_out_together(of_model.groups_of(image_ids)):
            observed = observed_of(of_model, metric, image_ids)
            score = metric.score(observed, classes, seed=seed)
            draws = np.zeros(0) if score.value is None else metric.bootstrap(observed, classes, seed=seed)
            resampled[name] = _Resampled(score.value, draws, score.widest_difference)
    return {
        (a, b): _difference(resampled[a], resampled[b], images=len(image_ids)) for a, b in combinations(resampled, 2)
    }


@dataclass(frozen=True)
class _Resampled:
    """A score, None where it is undefined, and its values with images left out."""

    score: float | None
    draws: NDArray[np.float64]
    widest: float


def _difference(a: _Resampled, b: _Resampled, *, images: int) -> PairedDifference:
    if a.score is None or b.score is None:
        return PairedDifference(None, None, None, None, None, images)
    difference = a.score - b.score
    found = estimate(difference, a.draws - b.draws)
    if found is None:
        return PairedDifference(difference, None, None, None, None, images)
    probability = 1 - found.p / 2 if difference > 0 else found.p / 2 if difference < 0 else 0.5
    return PairedDifference(difference, None, None, probability, found.p, images, found, a.widest).at_level(LEVEL)


def observed_of(statistics: Statistics, metric: Metric, image_ids: Sequence[str]) -> Observed:
    """Return what a metric was computed from, in an order of the images; raises `BenchError` where it is not there."""
    if metric.statistic not in statistics.arrays:
        raise BenchError(
            f"the stored statistics have no {metric.statistic!r}, which {metric.name} is computed from; "
            "score the run again with: bench score RUN"
        )
    return statistics.in_order_of(image_ids, metric.statistic)


def check_same_images(ids_a: Sequence[str], ids_b: Sequence[str]) -> None:
    """Raise `BenchError` unless both have the same images, in whatever order."""
    if tuple(ids_a) == tuple(ids_b):
        return
    only_one = sorted(set(ids_a) ^ set(ids_b))
    if only_one:
        raise BenchError(
            f"two models can only be compared on the same images; {len(only_one)} were scored for one of them only, "
            f"for example {only_one[0]!r}. Use one data set with the same max_images for both"
        )


def latency_ratio(
    processes_a: Sequence[NDArray[np.generic]], processes_b: Sequence[NDArray[np.generic]], *, percent: float = 50.0
) -> LatencyRatio:
    """Compare a percentile of latency of two models by Welch's test over processes, of its logarithm.

    Args:
        processes_a: Samples of each process of model A, in order.
        processes_b: Samples of each process of model B, in the same unit.
        percent: Percentile between 0 and 100.
    """
    estimate = compare_processes(processes_a, processes_b, percent)
    if estimate is None:
        typical = [np.exp(np.log(process_percentiles(one, percent)).mean()) for one in (processes_a, processes_b)]
        return LatencyRatio(float(typical[0] / typical[1]), None, None)
    return LatencyRatio(as_ratio(estimate).value, None, None, estimate.p, estimate).at_level(LEVEL)
