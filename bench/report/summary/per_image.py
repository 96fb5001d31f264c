"""Gathers the results of each image under each model: every score that one image can have, and its latency.

Of all images together it counts which classes are taken for which, and finds the images that feed each confusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metric import CONFUSION, ImageMetric, load_metric
from bench.records import Record
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


MOST_CLASSES = 40
"""Most classes of a table, those with the most pixels; all others are one row and one column."""

LISTED, IMAGES = 12, 5
"""Confusions that are listed of a model, and images of each cell."""

NO_CLASS, OTHERS = "no class", "other classes"


class ConfusedPair(Record):
    """Pixels of one class that are taken for another.

    Attributes:
        true, predicted: Names of the classes; `predicted` may be `NO_CLASS`.
        pixels: Number of such pixels.
        share: Share of all pixels that are truly of the class.
        images: (Id, pixels) of the images with the most of them, at most `IMAGES`.
    """

    true: str
    predicted: str
    pixels: int
    share: float
    images: tuple[tuple[str, int], ...]


class ConfusionTable(Record):
    """The confusion matrix of one case.

    Attributes:
        case_id: Id of the case.
        rows: Names of the true classes.
        columns: Names of the predicted classes, then `NO_CLASS`.
        counts: Pixels by true and predicted class, all images together.
        cells: Images with the most pixels of each cell that has any: "row,column" -> indices of images.
        pairs: The confusions with the most pixels, falling.
    """

    case_id: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    cells: dict[str, tuple[int, ...]]
    pairs: tuple[ConfusedPair, ...]


def confusion_of(case: CaseImages) -> ConfusionTable | None:
    """Return the confusion matrix of a case; None where pixels were not counted by class."""
    found = case.statistics.arrays.get(CONFUSION)
    names = [spec.name for spec in case.view.task.classes]
    if found is None or found.ndim != 3 or found.shape[1:] != (len(names), len(names) + 1):
        return None
    counts, labels = _folded(found, names)
    pooled = counts.sum(axis=0)
    return ConfusionTable(
        case_id=case.case_id,
        rows=tuple(labels),
        columns=(*labels, NO_CLASS),
        counts=tuple(tuple(int(value) for value in row) for row in pooled),
        cells=_cells(counts, pooled),
        pairs=tuple(_pairs(found, names, case.image_ids)),
    )


def _folded(counts: NDArray[np.int64], names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the counts with all but the largest classes put together, and the names of what is left."""
    if len(names) <= MOST_CLASSES:
        return counts, list(names)
    largest = np.sort(np.argsort(-counts.sum(axis=(0, 2)), kind="stable")[: MOST_CLASSES - 1])
    place = np.full(len(names) + 1, len(largest))
    place[largest], place[-1] = np.arange(len(largest)), len(largest) + 1
    gathered = np.zeros((len(counts), len(largest) + 1, len(largest) + 2), dtype=np.int64)
    for row in range(len(names)):
        for column in range(len(names) + 1):
            gathered[:, place[row], place[column]] += counts[:, row, column]
    return gathered, [*(names[i] for i in largest), OTHERS]


def _cells(counts: NDArray[np.int64], pooled: NDArray[np.int64]) -> dict[str, tuple[int, ...]]:
    """Return images of every cell off the diagonal that has pixels."""
    found = {}
    for row, column in zip(*np.nonzero(pooled), strict=True):
        if row != column:
            found[f"{row},{column}"] = tuple(largest(counts[:, row, column], IMAGES, above=0))
    return found


def _pairs(counts: NDArray[np.int64], names: Sequence[str], image_ids: Sequence[str]) -> list[ConfusedPair]:
    pooled = counts.sum(axis=0)
    wrong = pooled.copy()
    np.fill_diagonal(wrong, 0)  # the last column, of no class, stays
    true = pooled.sum(axis=1)
    listed = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    found = []
    for row, column in zip(*np.unravel_index(listed, wrong.shape), strict=True):
        if not wrong[row, column]:
            break
        of_images = counts[:, row, column]
        found.append(
            ConfusedPair(
                true=names[row],
                predicted=NO_CLASS if column == len(names) else names[column],
                pixels=int(wrong[row, column]),
                share=float(wrong[row, column] / max(1, true[row])),
                images=tuple((image_ids[i], int(of_images[i])) for i in largest(of_images, IMAGES, above=0)),
            )
        )
    return found
