"""A data set as far as it is known before its files are there: its classes, with those that a suite makes of them."""

from __future__ import annotations

from bench.data.formats.by_name import classes_without_files
from bench.data.formats.on_disk import Description, Entry, OnDisk
from bench.data.labels.dataset import MappedDataset
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import DatasetSpec


def open_without_files(spec: DatasetSpec) -> Dataset | None:
    """Return the data set of a case with its classes and no splits; None where only the files tell the classes.

    Raises:
        BenchError: If `labels` does not fit the data set.
    """
    classes = classes_without_files(spec.name, spec.options)
    if classes is None:
        return None
    description = Description(spec.name, classes, tasks=(), source="", licence="", splits=())
    dataset: Dataset = OnDisk(description, _no_entries, _no_ground_truth)
    return dataset if spec.labels is None else MappedDataset(dataset, spec.labels)


def _no_entries(split: str) -> tuple[Entry, ...]:
    raise DatasetError(f"the files of split {split!r} are not there.")


def _no_ground_truth(entry: Entry) -> GroundTruth:
    raise DatasetError(f"{entry.image}: the files of this data set are not there.")
