"""A data set as a suite uses it: with its own classes, or with those that the suite makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.corruptions.dataset import CorruptedDataset
from bench.data.formats.by_name import open_dataset
from bench.data.formats.encoding import encoded_image
from bench.data.labels.mapping import map_ground_truth
from bench.data.labels.selection import selected
from bench.dataset import Dataset, GroundTruth, Place, Spacing
from bench.errors import BenchError
from bench.records import DatasetSpec, Labels, Size, as_json_dict, digest
from bench.records.predictions import RgbImage


def open_labelled(spec: DatasetSpec) -> Dataset:
    """Open the data set of a case; with `labels`, its classes are the mapped ones, with a corruption its images.

    Raises:
        BenchError: As `open_dataset`, and if `labels` does not fit the data set.
    """
    dataset = open_dataset(spec.name, spec.options)
    mapped: Dataset = dataset if spec.labels is None else MappedDataset(dataset, spec.labels)
    return mapped if spec.corruption is None else CorruptedDataset(mapped, spec.corruption, spec.test)


class MappedDataset:
    """A data set whose ground truth are in another label space; keeps `bench.datasets.Dataset`."""

    def __init__(self, dataset: Dataset, labels: Labels) -> None:
        """Work out the classes; raises `BenchError` if `labels` does not fit the data set."""
        self.table = selected(labels, dataset.classes)
        self.unmapped, self.labels = dataset, labels
        self.classes = self.table.classes
        self.bands = getattr(dataset, "bands", None)
        self.tasks, self.source, self.licence = dataset.tasks, dataset.source, dataset.licence
        has_things = any(spec.is_thing for spec in self.classes)
        if not has_things and self.tasks == ("instance",):
            raise BenchError("labels: none of the new classes is a thing, and the data set has instances only.")

    def splits(self) -> tuple[str, ...]:
        """Return names of the splits."""
        return self.unmapped.splits()

    def ids(self, split: str) -> Sequence[str]:
        """Return ids of a split; images without any of the classes stay."""
        return self.unmapped.ids(split)

    def group(self, image_id: str) -> str:
        """Return what the image must stay together with; its own id where the data set knows none."""
        of_group = getattr(self.unmapped, "group", None)
        return image_id if of_group is None else str(of_group(image_id))

    def spacing(self, image_id: str) -> Spacing | None:
        """Return the distance of its pixels in millimetres; None where the data set does not say."""
        return getattr(self.unmapped, "spacing", lambda _: None)(image_id)

    def place(self, image_id: str) -> Place | None:
        """Return where it lies in its volume; None where it is no slice."""
        return getattr(self.unmapped, "place", lambda _: None)(image_id)

    def image(self, image_id: str) -> RgbImage:
        """Return the image, uint8, (H, W, 3), RGB."""
        return self.unmapped.image(image_id)

    def encoded(self, image_id: str) -> bytes:
        """Return the image as the content of a file."""
        return encoded_image(self.unmapped, image_id)

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth in the mapped label space."""
        return map_ground_truth(self.unmapped.target(image_id), self.table)

    def size(self, image_id: str) -> Size:
        """Return its size, without decoding it."""
        return self.unmapped.size(image_id)

    def fingerprint(self, split: str) -> str:
        """Return a digest of the data set's fingerprint and of what is made of its classes."""
        return labelled_fingerprint(self.unmapped.fingerprint(split), self.labels)


def labelled_fingerprint(fingerprint: str, labels: Labels) -> str:
    """Return the fingerprint of a split whose classes are mapped."""
    return digest([fingerprint, as_json_dict(labels)])
