"""What each image came to under each model: every score that can be told of one image, and its latency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
        statistics: What it was scored from.
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


def images_of_case(view: CaseView, metrics: Sequence[str], samples: Sequence[Samples] = ()) -> CaseImages | None:
    """Return what the images of a case came to.

    Args:
        view: The case.
        metrics: Of the plan, by name.
        samples: Samples of its timing jobs.

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
    medians = median_latencies(samples)
    latency = np.array([medians.get(image_id, np.nan) for image_id in statistics.image_ids], dtype=np.float64)
    return CaseImages(view, statistics, scores, latency)


def median_latencies(samples: Iterable[Samples]) -> dict[str, float]:
    """Return image id -> median end-to-end latency of the batches it was in, ms per image; usable samples only."""
    of_image: dict[str, list[NDArray[np.float64]]] = {}
    for one in samples:
        usable, batch = one.usable(END_TO_END), int(one.batch_size)
        milliseconds, first = one.total_ns[usable] / _NS_PER_MS / batch, one.image_index[usable]
        count = max(1, len(one.image_ids))
        for offset in range(batch):
            place = (first + offset) % count
            order = np.argsort(place, kind="stable")
            found, starts = np.unique(place[order], return_index=True)
            for number, values in zip(found, np.split(milliseconds[order], starts[1:]), strict=True):
                of_image.setdefault(str(one.image_ids[number]), []).append(values)
    return {image_id: float(np.median(np.concatenate(values))) for image_id, values in of_image.items()}


def disagreement(cases: Sequence[CaseImages], metric: str) -> NDArray[np.float64]:
    """Return how far models differ on each image, (N,): the range of their values; nan with fewer than two.

    Args:
        cases: Of one data set, on the same images in the same order.
        metric: Metric by which they are compared.
    """
    stack = np.stack([case.scores[metric] for case in cases])
    several = (~np.isnan(stack)).sum(axis=0) > 1
    highest = np.nanmax(np.where(several, stack, 0.0), axis=0)
    return np.asarray(np.where(several, highest - np.nanmin(np.where(several, stack, 0.0), axis=0), np.nan))


def by_dataset(cases: Iterable[CaseImages]) -> dict[str, list[CaseImages]]:
    """Group cases by data set; of each those on the same images in the same order as the first of it."""
    found: dict[str, list[CaseImages]] = {}
    for case in cases:
        group = found.setdefault(case.view.case.dataset.label, [])
        if not group or group[0].image_ids == case.image_ids:
            group.append(case)
    return found
