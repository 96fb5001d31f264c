"""Gathers the results of each image under each model: every score that one image can have, and its latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metric import ImageMetric, load_metric
from bench.records.store.samples import END_TO_END, Samples
from bench.records.store.statistics import Statistics, load_statistics
from bench.records.store.views import CaseView

_NS_PER_MS = 1e6


@dataclass(frozen=True)
class CaseImages:
    """The images of one case.

    Attributes:
        view: The case.
        statistics: Statistics that it was scored from.
        scores: Metric name -> value of each image, (N,), nan where undefined; the first is the headline. Metrics of
            which one image has no value are left out.
        latency_ms: Median end to end of each image, (N,), nan where it was not timed.
    """

    view: CaseView
    statistics: Statistics
    scores: dict[str, NDArray[np.float64]]
    latency_ms: NDArray[np.float64]

    @property
    def case_id(self) -> str:
        """Id of the case."""
        return self.view.case.id

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the images, in the order of all arrays."""
        return self.statistics.image_ids


def images_of_case(
    view: CaseView, metrics: Sequence[str], latency_ms: Mapping[str, float] | None = None
) -> CaseImages | None:
    """Return what the images of a case came to.

    Args:
        view: The case.
        metrics: Names of the plan's metrics.
        latency_ms: Image id -> median latency, see `median_latencies`; None where nothing was timed.

    Returns:
        None where nothing is scored yet, or the statistics are of another version of a metric.
    """
    if view.scores is None or view.statistics is None:
        return None
    statistics = load_statistics(view.statistics)
    scores: dict[str, NDArray[np.float64]] = {}
    for name in metrics:
        metric = load_metric(name)
        if not isinstance(metric, ImageMetric) or metric.statistic not in statistics.arrays:
            continue
        try:
            scores[name] = metric.per_image(statistics.arrays[metric.statistic], view.task.classes)
        except BenchError:  # the scores beside it say what is wrong with the file
            continue
    medians = latency_ms or {}
    latency = np.array([medians.get(image_id, np.nan) for image_id in statistics.image_ids], dtype=np.float64)
    return CaseImages(view, statistics, scores, latency)


def median_latencies(samples: Iterable[Samples]) -> dict[str, float]:
    """Return image id -> median end-to-end latency of the batches it was in, ms per image; usable samples only."""
    number_of: dict[str, int] = {}
    numbers, milliseconds = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for one in samples:
        usable, batch = one.usable(END_TO_END), int(one.batch_size)
        known = np.array([number_of.setdefault(str(name), len(number_of)) for name in one.image_ids], dtype=np.int64)
        for offset in range(batch):
            numbers.append(known[(one.image_index[usable] + offset) % max(1, len(known))])
            milliseconds.append(one.total_ns[usable] / _NS_PER_MS / batch)
    image, value = np.concatenate(numbers), np.concatenate(milliseconds)
    value = value[np.lexsort((value, image))]
    counts = np.bincount(image, minlength=len(number_of))
    first = np.cumsum(counts) - counts
    timed = counts > 0
    low, high = (value[(first + (counts - 1 + more) // 2)[timed]] for more in (0, 1))
    medians = iter(((low + high) / 2).tolist())
    return {name: next(medians) for name, number in number_of.items() if timed[number]}


def disagreement(cases: Sequence[CaseImages], metric: str) -> NDArray[np.float64]:
    """Return how far models differ on each image, (N,): the range of their values; nan with fewer than two.

    Args:
        cases: Cases of one data set, on the same images in the same order.
        metric: Metric by which they are compared.
    """
    stack = np.stack([case.scores[metric] for case in cases])
    several = (~np.isnan(stack)).sum(axis=0) > 1
    highest = np.nanmax(np.where(several, stack, 0.0), axis=0)
    return np.asarray(np.where(several, highest - np.nanmin(np.where(several, stack, 0.0), axis=0), np.nan))


def largest(values: NDArray[Any], most: int, above: float = -np.inf) -> list[int]:
    """Return the places of the largest values, falling, at most so many; of equal ones the first. NaN is none.

    >>> largest(np.array([1.0, 3.0, np.nan, 3.0, 0.0]), 4, above=0)
    [1, 3, 0]
    """
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:most]
    return [int(i) for i in order if values[i] > above]


def by_dataset(cases: Iterable[CaseImages]) -> dict[str, list[CaseImages]]:
    """Group cases by data set; of each those on the same images in the same order as the first of it."""
    found: dict[str, list[CaseImages]] = {}
    for case in cases:
        group = found.setdefault(case.view.case.dataset.label, [])
        if not group or group[0].image_ids == case.image_ids:
            group.append(case)
    return found
