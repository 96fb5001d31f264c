"""Whether two models differ: paired over images for scores, over processes for latencies.

Two models are scored on the same images, and most of the spread of a score comes from the images.
Drawing the same images for both removes it from the difference, which is why two overlapping
intervals can still be a clear difference.

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), §13.3 and §8.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics import Metric
from bench.records import ClassSpec
from bench.score.scoring import Statistics
from bench.stats.intervals import central_interval, resampled_percentiles
from bench.stats.percentiles import as_fraction


@dataclass(frozen=True)
class PairedDifference:
    """The score of A minus the score of B on the same images.

    Attributes:
        difference: None where a score is undefined.
        low, high: 95 % interval; None with it.
        probability: That A's score is the larger one, equal draws counting half.
        images: Number of images in the comparison.
    """

    difference: float | None
    low: float | None
    high: float | None
    probability: float | None
    images: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class LatencyRatio:
    """How many times as long A takes as B: a percentile of A over that of B, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out one."""
        return self.low > 1 or self.high < 1


def paired_difference(
    statistics_a: Statistics, statistics_b: Statistics, metric: Metric, classes: Sequence[ClassSpec], *, seed: int
) -> PairedDifference:
    """Compare two models on the images that both were scored on.

    Args:
        statistics_a: Of model A.
        statistics_b: Of model B, in any order of images.
        metric: What is compared.
        classes: The label space of both.
        seed: Of the resampling.

    Raises:
        BenchError: If they were scored on different images or one lacks the metric's statistic.
    """
    a = _stack(statistics_a, metric)
    b = _stack(statistics_b, metric)[_matching_rows(statistics_a.image_ids, statistics_b.image_ids)]
    scores = [metric.score(stack, classes, seed=seed).value for stack in (a, b)]
    nothing = PairedDifference(None, None, None, None, len(a))
    if scores[0] is None or scores[1] is None:
        return nothing
    draws = metric.bootstrap(a, classes, seed=seed) - metric.bootstrap(b, classes, seed=seed)
    draws = draws[~np.isnan(draws)]
    difference = scores[0] - scores[1]
    if len(a) < 2 or not draws.size:
        return PairedDifference(difference, None, None, None, len(a))
    interval = central_interval(draws)
    probability = float((draws > 0).mean() + (draws == 0).mean() / 2)
    return PairedDifference(difference, interval.low, interval.high, probability, len(a))


def _stack(statistics: Statistics, metric: Metric) -> NDArray[np.int64]:
    if metric.statistic not in statistics.stacks:
        raise BenchError(
            f"the stored statistics have no {metric.statistic!r}, which {metric.name} is computed from; "
            "score the run again with: bench score RUN"
        )
    return statistics.stacks[metric.statistic]


def _matching_rows(ids_a: Sequence[str], ids_b: Sequence[str]) -> list[int]:
    """Row of B for each image of A."""
    only_one = sorted(set(ids_a) ^ set(ids_b))
    if only_one:
        raise BenchError(
            f"two models can only be compared on the same images; {len(only_one)} were scored for one of them only, "
            f"for example {only_one[0]!r}. Use one data set with the same max_images for both"
        )
    row_of = {image_id: row for row, image_id in enumerate(ids_b)}
    return [row_of[image_id] for image_id in ids_a]


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
    seeds = np.random.SeedSequence(seed).generate_state(2)
    draws = [
        resampled_percentiles(processes, (percent,), seed=int(state))[:, 0]
        for processes, state in zip((processes_a, processes_b), seeds, strict=True)
    ]
    interval = central_interval(draws[0] / draws[1])
    value = _upper_rank(processes_a, percent) / _upper_rank(processes_b, percent)
    return LatencyRatio(value, interval.low, interval.high)


def _upper_rank(processes: Sequence[NDArray[np.generic]], percent: float) -> float:
    pooled = np.concatenate([np.asarray(values, dtype=np.float64) for values in processes])
    rank = int(len(pooled) * as_fraction(percent))
    return float(np.partition(pooled, rank)[rank])
