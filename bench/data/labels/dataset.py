"""A data set as a suite uses it: with its own classes, or with those that the suite makes of them."""

from __future__ import annotations

from bench.data.corruptions.dataset import CorruptedDataset
from bench.data.formats.by_name import classes_without_files, open_dataset
from bench.data.formats.encoding import encoded_image
from bench.data.formats.on_disk import Description, Entry, OnDisk
from bench.data.labels.mapping import map_ground_truth
from bench.data.labels.selection import selected
from bench.dataset import Dataset, DatasetAround, GroundTruth
from bench.errors import BenchError, DatasetError
from bench.records import DatasetSpec, Labels, as_json_dict, digest


def open_labelled(spec: DatasetSpec) -> Dataset:
    """Open the data set of a case; with `labels`, its classes are the mapped ones, with a corruption its images.

    Raises:
        BenchError: As `open_dataset`, and if `labels` does not fit the data set.
    """
    dataset = open_dataset(spec.name, spec.options)
    mapped: Dataset = dataset if spec.labels is None else MappedDataset(dataset, spec.labels)
    return mapped if spec.corruption is None else CorruptedDataset(mapped, spec.corruption, spec.test)


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


class MappedDataset(DatasetAround):
    """A data set whose ground truth are in another label space."""

    def __init__(self, dataset: Dataset, labels: Labels) -> None:
        """Work out the classes; raises `BenchError` if `labels` does not fit the data set."""
        super().__init__(dataset)
        self.table, self.labels = selected(labels, dataset.classes), labels
        self.classes = self.table.classes
        has_things = any(spec.is_thing for spec in self.classes)
        if not has_things and self.tasks == ("instance",):
            raise BenchError("labels: none of the new classes is a thing, and the data set has instances only.")

    def encoded(self, image_id: str) -> bytes:
        """Return the image as the content of a file."""
        return encoded_image(self.inner, image_id)

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth in the mapped label space."""
        return map_ground_truth(self.inner.target(image_id), self.table)

    def fingerprint(self, split: str) -> str:
        """Return a digest of the data set's fingerprint and of what is made of its classes."""
        return labelled_fingerprint(self.inner.fingerprint(split), self.labels)


def on_disk(dataset: Dataset) -> OnDisk | None:
    """Return the data set of files below any mapping of classes; None if it is not made of files."""
    inner = dataset.inner if isinstance(dataset, MappedDataset) else dataset
    return inner if isinstance(inner, OnDisk) else None


def labelled_fingerprint(fingerprint: str, labels: Labels) -> str:
    """Return the fingerprint of a split whose classes are mapped."""
    return digest([fingerprint, as_json_dict(labels)])
