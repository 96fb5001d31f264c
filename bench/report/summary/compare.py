"""Whether two models differ: paired over images for scores, over processes for latencies.

Two models are scored on the same images, and most of the spread of a score comes from the images.
Drawing the same images for both removes it from the difference, which is why two overlapping
intervals can still be a clear difference.

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), §13.3, §12.5 and §8.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metric import Metric, Observed
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.score.stats.intervals import central_interval, resampled_percentiles
from bench.score.stats.percentiles import as_fraction
from bench.score.stats.student import quantile_975, t_statistic, two_sided_p


@dataclass(frozen=True)
class PairedDifference:
    """The score of A minus the score of B on the same images.

    Attributes:
        difference: None where a score is undefined.
        low, high: Its 95 % interval, by the same Student's t as `p`: it leaves out 0 exactly where `p` is below
            5 %. Cut to the differences that the metric can take; None with `difference`.
        probability: That A's score is the larger one, equal draws counting half.
        p: Two-sided p-value of no difference: the difference over its standard error, against Student's t with
            images - 1 degrees of freedom. The standard error is the standard deviation of the draws, times
            sqrt(images / (images - 1)), as resamples of n images spread by too little. Unlike a share of
            draws it can be as small as a correction for many comparisons asks for.
        images: Number of images in the comparison.
    """

    difference: float | None
    low: float | None
    high: float | None
    probability: float | None
    p: float | None
    images: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


LEAST_PROCESSES = 2
"""Processes per model without which no interval of a ratio of latencies is given."""


@dataclass(frozen=True)
class LatencyRatio:
    """How many times as long A takes as B: a percentile of A over that of B.

    Attributes:
        ratio: Of the percentiles of all samples.
        low, high: Its 95 % interval. None where A or B was measured in one process: two processes of one
            network differ by more than the samples of either show, so there is nothing to tell it from.
    """

    ratio: float
    low: float | None
    high: float | None

    @property
    def significant(self) -> bool | None:
        """Whether the interval leaves out one; None without an interval."""
        return None if self.low is None or self.high is None else self.low > 1 or self.high < 1


def paired_differences(
    statistics: Mapping[str, Statistics], metric: Metric, classes: Sequence[ClassSpec], *, seed: int
) -> dict[tuple[str, str], PairedDifference]:
    """Compare every two models on the images that all were scored on.

    Args:
        statistics: Of each model, by name, each in any order of images.
        metric: What is compared.
        classes: The label space of all.
        seed: Of the resampling; every model is drawn once, on the same images.

    Returns:
        (A, B) -> difference, A before B in the order given.

    Raises:
        BenchError: If they were scored on different images or one lacks the metric's statistic.
    """
    image_ids: Sequence[str] = next((s.image_ids for s in statistics.values()), ())
    resampled = {}
    for name, of_model in statistics.items():
        _check_same_images(image_ids, of_model.image_ids)
        resampled[name] = _resampled(_of_metric(of_model, metric, image_ids), metric, classes, seed=seed)
    return {
        (a, b): _difference(resampled[a], resampled[b], images=len(image_ids)) for a, b in combinations(resampled, 2)
    }


@dataclass(frozen=True)
class _Resampled:
    """A score, None where it is undefined, and its draws."""

    score: float | None
    draws: NDArray[np.float64]
    widest: float


def _resampled(observed: Observed, metric: Metric, classes: Sequence[ClassSpec], *, seed: int) -> _Resampled:
    score = metric.score(observed, classes, seed=seed)
    draws = np.zeros(0) if score.value is None else metric.bootstrap(observed, classes, seed=seed)
    return _Resampled(score.value, draws, score.widest_difference)


def _difference(a: _Resampled, b: _Resampled, *, images: int) -> PairedDifference:
    if a.score is None or b.score is None:
        return PairedDifference(None, None, None, None, None, images)
    draws = a.draws - b.draws
    draws = draws[~np.isnan(draws)]
    difference = a.score - b.score
    if images < 2 or not draws.size:
        return PairedDifference(difference, None, None, None, None, images)
    probability = float((draws > 0).mean() + (draws == 0).mean() / 2)
    error = float(draws.std()) * sqrt(images / (images - 1))
    half = quantile_975(images - 1) * error
    p = two_sided_p(t_statistic(difference, error), images - 1)
    low, high = max(difference - half, -a.widest), min(difference + half, a.widest)
    return PairedDifference(difference, low, high, probability, p, images)


def _of_metric(statistics: Statistics, metric: Metric, image_ids: Sequence[str]) -> Observed:
    if metric.statistic not in statistics.arrays:
        raise BenchError(
            f"the stored statistics have no {metric.statistic!r}, which {metric.name} is computed from; "
            "score the run again with: bench score RUN"
        )
    return statistics.in_order_of(image_ids, metric.statistic)


def _check_same_images(ids_a: Sequence[str], ids_b: Sequence[str]) -> None:
    only_one = sorted(set(ids_a) ^ set(ids_b))
    if only_one:
        raise BenchError(
            f"two models can only be compared on the same images; {len(only_one)} were scored for one of them only, "
            f"for example {only_one[0]!r}. Use one data set with the same max_images for both"
        )


def latency_ratio(
    processes_a: Sequence[NDArray[np.generic]],
    processes_b: Sequence[NDArray[np.generic]],
    *,
    percent: float = 50.0,
    seed: int,
) -> LatencyRatio:
    """Compare a percentile of latency of two models, by the hierarchical bootstrap of each.

    Args:
        processes_a: Samples of each process of model A, in order.
        processes_b: Samples of each process of model B, in the same unit.
        percent: Percentile between 0 and 100.
        seed: Of the resampling; the two models are drawn independently.
    """
    value = _upper_rank(processes_a, percent) / _upper_rank(processes_b, percent)
    if min(len(processes_a), len(processes_b)) < LEAST_PROCESSES:
        return LatencyRatio(value, None, None)
    seeds = np.random.SeedSequence(seed).generate_state(2)
    draws = [
        resampled_percentiles(processes, (percent,), seed=int(state))[:, 0]
        for processes, state in zip((processes_a, processes_b), seeds, strict=True)
    ]
    interval = central_interval(draws[0] / draws[1])
    return LatencyRatio(value, interval.low, interval.high)


def _upper_rank(processes: Sequence[NDArray[np.generic]], percent: float) -> float:
    pooled = np.concatenate([np.asarray(values, dtype=np.float64) for values in processes])
    rank = int(len(pooled) * as_fraction(percent))
    return float(np.partition(pooled, rank)[rank])
