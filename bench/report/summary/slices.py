"""Scores and latency by slice: what the images of a slice share, and which slice each model is worst on.

Slices come from the run's own statistics (classes that are present, how much of the image is object), from the data
set where it is on this machine (image size, group), and from the columns of a table of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError, in_one_line
from bench.metric import CONFUSION, ImageMetric, Metric
from bench.records import Record, background_class
from bench.records.store.statistics import Statistics
from bench.report.summary.columns import Columns
from bench.report.summary.per_image import CaseImages
from bench.score.stats.jackknife import left_out_together

MOST_VALUES = 24
"""A column with more values is no slice; where they are numbers it is cut into thirds."""

FEWEST_IMAGES = 5
"""Slices of fewer images are shown, but none is called the worst."""

MOST_CLASSES = 60
"""Most classes by whose presence images are sliced: those that are present in the most images."""


class Slice(Record):
    """Images that have something in common.

    Attributes:
        by: Property that they share: `class present`, `image size`, the name of a column.
        name: The value that they share.
        images: Number of images in the slice.
        values: Case id -> headline over them; None where it is undefined.
        latency_ms: Case id -> median over them of the images' medians; None where none was timed.
    """

    by: str
    name: str
    images: int
    values: dict[str, float | None]
    latency_ms: dict[str, float | None]


class WorstSlice(Record):
    """The slice on which a model is worst.

    Attributes:
        case_id: Case id of the model.
        by, name, images: The slice: its property, its value and its number of images.
        value, low, high: Headline over it, with its 95 % interval over images or groups.
        overall: Headline over all images.
        among: Slices that it is the worst of.
    """

    case_id: str
    by: str
    name: str
    images: int
    value: float
    low: float | None
    high: float | None
    overall: float | None
    among: int


class SliceTable(Record):
    """The slices of a data set.

    Attributes:
        dataset: Its label.
        slices: Slices in the order of the sources, then of the names.
        worst: The worst slice of each case that has any.
        notes: Sentences on what could not be sliced, and why.
    """

    dataset: str
    slices: tuple[Slice, ...]
    worst: tuple[WorstSlice, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Groups:
    """Groups of images by one thing.

    Attributes:
        by: Property by which they are grouped.
        names: Names of the groups, (G,).
        members: True where an image is in a group, bool, (G, N).
    """

    by: str
    names: tuple[str, ...]
    members: NDArray[np.bool_]


class SliceTables:
    """Collects the slices of every data set with scored cases, case after case, so that none need be held."""

    def __init__(
        self,
        metric: Metric,
        *,
        seed: int,
        columns: Mapping[str, Columns] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Start empty.

        Args:
            metric: The headline; of one that cannot tell of groups of images there are no slices.
            seed: Seed of the intervals.
            columns: Label of a data set -> the columns of the user's table; under "" those of every data set.
            notes: Label of a data set -> sentence to be told of its table.
        """
        self._notes = notes or {}
        self._metric = metric if isinstance(metric, ImageMetric) else None
        self._seed, self._columns = seed, columns or {}
        self._of: dict[str, _OfDataset] = {}

    def add(self, case: CaseImages | None) -> None:
        """Slice a case; of a data set those on the same images in the same order as the first."""
        if case is None or self._metric is None:
            return
        label = case.view.case.dataset.label
        if label not in self._of:
            columns = {**self._columns.get("", {}), **self._columns.get(label, {})}
            self._of[label] = _OfDataset(case, columns, [self._notes[label]] if label in self._notes else [])
        if self._of[label].image_ids == case.image_ids:
            self._of[label].add(case, self._metric, self._seed)

    def tables(self) -> tuple[SliceTable, ...]:
        """Return the slices of each data set, in the order in which they came."""
        return tuple(found.table(label) for label, found in self._of.items())


class _OfDataset:
    """The slices of a data set, and what its cases come to on them."""

    def __init__(self, first: CaseImages, columns: Columns, notes: Sequence[str]) -> None:
        self.image_ids = first.image_ids
        self._groups, found = groups_of(first, columns)
        self._notes = (*found, *notes)
        self._named = [
            (group.by, name, chosen)
            for group in self._groups
            for name, chosen in zip(group.names, group.members, strict=True)
        ]
        self._sizes = [int(chosen.sum()) for _, _, chosen in self._named]
        self._values: dict[str, list[float | None]] = {}
        self._latency_ms: dict[str, list[float | None]] = {}
        self._worst: list[WorstSlice] = []

    def add(self, case: CaseImages, metric: ImageMetric, seed: int) -> None:
        """Add a case on the same images."""
        values = [None if np.isnan(value) else float(value) for value in _values(case, metric, self._groups)]
        self._values[case.case_id] = values
        self._latency_ms[case.case_id] = [_median(case.latency_ms[chosen]) for _, _, chosen in self._named]
        worst = self._worst_of(case, metric, values, seed)
        self._worst += [worst] if worst is not None else []

    def table(self, label: str) -> SliceTable:
        """Return the table of what was added."""
        slices = tuple(
            Slice(
                by=by,
                name=name,
                images=self._sizes[place],
                values={case_id: values[place] for case_id, values in self._values.items()},
                latency_ms={case_id: values[place] for case_id, values in self._latency_ms.items()},
            )
            for place, (by, name, _) in enumerate(self._named)
        )
        return SliceTable(dataset=label, slices=slices, worst=tuple(self._worst), notes=self._notes)

    def _worst_of(
        self, case: CaseImages, metric: ImageMetric, values: Sequence[float | None], seed: int
    ) -> WorstSlice | None:
        """The slice with the worst value among those of enough images that are not all images."""
        total = len(case.image_ids)
        ranked = [
            (value, place)
            for place, value in enumerate(values)
            if FEWEST_IMAGES <= self._sizes[place] < total and value is not None
        ]
        if not ranked:
            return None
        value, place = min(ranked) if metric.higher_is_better else max(ranked)
        by, name, members = self._named[place]
        chosen = case.statistics.of_images(
            [image_id for image_id, one in zip(case.image_ids, members, strict=True) if one]
        )
        with left_out_together(chosen.groups):
            score = metric.score(chosen.arrays[metric.statistic], case.view.task.classes, seed=seed)
        return WorstSlice(
            case_id=case.case_id,
            by=by,
            name=name,
            images=self._sizes[place],
            value=value,
            low=score.low,
            high=score.high,
            overall=case.view.headline.value if case.view.headline is not None else None,
            among=len(ranked),
        )


def _values(case: CaseImages, metric: ImageMetric, groups: Sequence[Groups]) -> NDArray[np.float64]:
    """The headline over every group, those of one thing after those of another."""
    observed = case.statistics.arrays.get(metric.statistic)
    every = [group.members for group in groups]
    if observed is not None and every:
        with suppress(BenchError):  # statistics of another version: the scores beside them say so
            return metric.of_groups(observed, case.view.task.classes, np.concatenate(every))
    return np.full(sum(len(members) for members in every), np.nan)


# --------------------------------------------------------------------------- what images have in common


def groups_of(case: CaseImages, columns: Columns) -> tuple[list[Groups], list[str]]:
    """Return the groups of a case's images, and what could not be grouped."""
    found = [*_by_class(case), *_by_object_share(case)]
    notes: list[str] = []
    try:
        found += _by_dataset(case)
    except (BenchError, OSError, KeyError) as error:  # not on this machine, or not the images that were scored
        notes.append(f"no slices by image size and group, which the data set would tell: {in_one_line(error)}")
    for name, of_image in columns.items():
        values = [of_image.get(image_id, "") for image_id in case.image_ids]
        known = sum(value != "" for value in values)
        if known < len(values):
            notes.append(f"column {name!r} has no value for {len(values) - known} of {len(values)} images")
        groups = _by_value(name, values)
        found += groups
        if not groups:
            notes.append(f"column {name!r} has {len(set(values))} different values, which are too many for slices")
    return [group for group in found if len(group.names)], notes


def _by_class(case: CaseImages) -> list[Groups]:
    """Images in whose ground truth a class is, one group for each class."""
    present = classes_present(case.statistics, len(case.view.task.classes))
    if present is None:
        return []
    counts = present.sum(axis=0)
    # A class that is in every image makes no slice.
    ranked = np.argsort(-counts, kind="stable")
    shown = [int(i) for i in ranked if 0 < counts[i] < len(present)][:MOST_CLASSES]
    names = tuple(case.view.task.classes[i].name for i in sorted(shown))
    return [Groups("class present", names, present[:, sorted(shown)].T)]


def classes_present(statistics: Statistics, num_classes: int) -> NDArray[np.bool_] | None:
    """Return which classes are in the ground truth of each image, (N, K); None where no statistic tells."""
    confusion = statistics.arrays.get(CONFUSION)
    if confusion is not None and confusion.ndim == 3:
        return np.asarray(confusion.sum(axis=2) > 0)
    for name, array in statistics.arrays.items():
        if name in statistics.tables and array.shape[1] == 8:  # matches of instances: number, kind, class, …
            present = np.zeros((len(statistics.image_ids), num_classes), dtype=np.bool_)
            objects = array[array[:, 1] == 1]
            present[objects[:, 0].astype(np.int64), objects[:, 2].astype(np.int64)] = True
            return present
        if name not in statistics.tables and array.ndim == 3 and array.shape[1:] == (num_classes, 4):
            return np.asarray(array[..., 1] + array[..., 3] > 0)  # matched or missed segments
    return None


def _by_object_share(case: CaseImages) -> list[Groups]:
    """Thirds of the images by how much of them is not background; nothing without a background."""
    confusion = case.statistics.arrays.get(CONFUSION)
    nothing = background_class(case.view.task.classes)
    if confusion is None or nothing is None or confusion.ndim != 3:
        return []
    pixels = confusion.sum(axis=2)  # (N, K)
    share = 1 - pixels[:, nothing] / np.maximum(1, pixels.sum(axis=1))
    return _thirds("share of objects", share, lambda value: f"{100 * value:.3g} %")


def _by_dataset(case: CaseImages) -> list[Groups]:
    spec = case.view.case.dataset
    dataset = open_labelled(spec)
    found = []
    sizes = [dataset.size(image_id) for image_id in case.image_ids]
    if len(set(sizes)) > MOST_VALUES:
        pixels = np.array([size.height * size.width for size in sizes], dtype=np.float64)
        found += _thirds("image size", np.sqrt(pixels), lambda value: f"{value:.0f}² px")
    elif len(set(sizes)) > 1:
        found += _by_value("image size", [f"{size.height} × {size.width}" for size in sizes])
    of_group = getattr(dataset, "group", None)
    if of_group is not None:
        names = [str(of_group(image_id)) for image_id in case.image_ids]
        if names != list(case.image_ids) and 1 < len(set(names)) <= MOST_VALUES:
            found += _by_value("group", names)
    return found


def _by_value(by: str, values: Sequence[str]) -> list[Groups]:
    """One group per value, thirds where there are many numbers; nothing of many values that are none."""
    different = sorted({value for value in values if value != ""})
    if len(different) > MOST_VALUES:
        try:
            numbers = np.array([float(value) if value else np.nan for value in values])
        except ValueError:
            return []
        return _thirds(by, numbers, lambda value: f"{value:.4g}")
    array = np.array(values, dtype=object)
    members = np.array([array == value for value in different], dtype=np.bool_).reshape(len(different), len(values))
    return [Groups(by, tuple(different), members)]


def _thirds(by: str, values: NDArray[np.float64], written: Callable[[float], str]) -> list[Groups]:
    """Three groups of about as many images each; none where too many values are equal."""
    known = values[np.isfinite(values)]
    if known.size < 3:
        return []
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    if not known.min() < low < high:
        return []
    members = np.stack([values <= low, (values > low) & (values <= high), values > high])
    names = (f"up to {written(low)}", f"{written(low)} to {written(high)}", f"above {written(high)}")
    return [Groups(by, names, members)]


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None
