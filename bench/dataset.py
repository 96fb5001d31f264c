"""The contract of a data set: one file per data set or on-disk format, named as suites name it.

A module `bench/datasets/<name>.py` has

* a module docstring: what it is, how it lies on disk, how its splits are made;
* `SOURCE` and `LICENCE`: where it comes from and its terms, one line each;
* `TASKS: tuple[TaskKind, ...]`: the forms of ground truth that it has under some options;
* `OBTAIN`: how to get it, in words; `PREPARE`: what `bench data prepare` can fetch of it, see
  `bench/data/formats/sources.py`;
* `EXPECTED`: split -> images that the source publishes, if it does;
* `class Options(Record)`: what a suite may set; strict, with defaults;
* `def open_dataset(options: Options) -> Dataset`: cheap; raises `DatasetError` with the way to
  obtain missing files. Opening reads an index at most, never all images.
* where the files do not decide it, `def classes_without_files(options: Options) -> tuple[ClassSpec, ...]`:
  the label space, so that a suite can be checked before the files are there; None under options
  with which they do decide.

`image` and `target` are separate calls so that a worker that predicts or times can be handed the
images alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.records import ClassSpec, DatasetSpec, Size, TaskKind
from bench.records import Spacing as Spacing
from bench.records.names import module_names, named_module
from bench.records.predictions import Instances, Panoptic, Prediction, PromptedMasks, RgbImage, SemanticMap


class Place(NamedTuple):
    """Place of an image in the volume of which it is a slice.

    Attributes:
        volume: Name of the volume, unique in its data set.
        number: Number of the slice; the neighbour of slice n is n + 1, whether or not that is an image of the data set.
    """

    volume: str
    number: int


@dataclass(frozen=True)
class GroundTruth:
    """All that is known about one image; the three forms come from one scene and agree.

    Attributes:
        semantic: Class ids, 255 = void.
        instances: Visible masks of things, crowds marked; None where the data set has none.
        panoptic: Segments of things and stuff, 0 = void; None where the data set has none.
    """

    semantic: SemanticMap
    instances: Instances | None = None
    panoptic: Panoptic | None = None

    @property
    def size(self) -> Size:
        """Size of the image."""
        return self.semantic.size

    def of(self, kind: TaskKind) -> Prediction | None:
        """Return the ground truth in the form of a task, or None."""
        if kind == "prompted":
            return None if self.instances is None else objects_of(self.instances)
        if kind == "instance":
            return self.instances
        return self.semantic if kind == "semantic" else self.panoptic

    def spaced(self, spacing: Spacing | None) -> GroundTruth:
        """Return the same with its pixels measured: metrics of distances read the spacing from the ground truth."""
        if spacing is None:
            return self
        instances = None if self.instances is None else self.instances.changed(spacing=spacing)
        return GroundTruth(replace(self.semantic, spacing=spacing), instances, self.panoptic)


class PaintedGroundTruth(GroundTruth):
    """Ground truth of instances alone, whose label map is painted from them when it is first asked for."""

    paint: Callable[[], SemanticMap]

    def __init__(self, instances: Instances, paint: Callable[[], SemanticMap]) -> None:
        """Keep both; `paint` is called once at most."""
        for name, value in {"instances": instances, "panoptic": None, "paint": paint}.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Paint the label map; every other attribute is there and does not come here."""
        if name != "semantic":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        painted = self.paint()
        object.__setattr__(self, "semantic", painted)
        return painted

    @property
    def size(self) -> Size:
        """Size of the image."""
        assert self.instances is not None  # see __init__
        return self.instances.size


def objects_of(instances: Instances) -> PromptedMasks:
    """Return the masks that a prompted model is asked for: true instances in their order, without classes.

    Crowds are left out, because a crowd is many objects, and so are instances of which nothing is
    to be seen.
    """
    kept = asked_for(instances)
    return PromptedMasks(instances.masks[kept], np.ones(int(kept.sum()), dtype=np.float64))


def asked_for(instances: Instances) -> NDArray[np.bool_]:
    """Return which true instances have a prompt, bool, (N,)."""
    return np.asarray(~instances.crowd & instances.masks.any(axis=(1, 2)))


class Dataset(Protocol):
    """Images with ground truth, by split.

    Attributes:
        classes: The label space; class id = position.
        tasks: Forms of ground truth that `target` gives.
        source: Source of the data, one line.
        licence: Its terms, one line.

    Where images lie on disk it also has `encoded(image_id) -> bytes`, the content of an image's file, and
    `group(image_id) -> str`, what the image must stay together with (patient, scene, film) or its own id;
    `spacing(image_id) -> Spacing | None`, in millimetres, None where the files do not say; and
    `place(image_id) -> Place | None`, of a slice in its volume. One that is made rather than read may have
    `notes(split) -> Sequence[str]`: what is to be known of the split before anything is trained or scored on it.
    """

    classes: tuple[ClassSpec, ...]
    tasks: tuple[TaskKind, ...]
    source: str
    licence: str

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order."""
        ...

    def ids(self, split: str) -> Sequence[str]:
        """Image ids of a split, in a fixed order; file-name safe and unique over all splits."""
        ...

    def image(self, image_id: str) -> RgbImage:
        """Return the image, uint8, (H, W, 3), RGB."""
        ...

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth at the image's own size."""
        ...

    def size(self, image_id: str) -> Size:
        """Return its size, without decoding it."""
        ...

    def fingerprint(self, split: str) -> str:
        """SHA-256 in hex that changes when any image or ground truth of the split may have changed."""
        ...


class DatasetAround:
    """A data set made of another one, `inner`: all is that one's but what a subclass changes."""

    def __init__(self, inner: Dataset) -> None:
        """Keep it; reads nothing."""
        self.inner = inner
        self.classes, self.tasks = inner.classes, inner.tasks
        self.source, self.licence = inner.source, inner.licence
        self.bands = getattr(inner, "bands", None)

    def splits(self) -> tuple[str, ...]:
        """Return names of the splits."""
        return self.inner.splits()

    def ids(self, split: str) -> Sequence[str]:
        """Return ids of a split."""
        return self.inner.ids(split)

    def image(self, image_id: str) -> RgbImage:
        """Return the image."""
        return self.inner.image(image_id)

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth."""
        return self.inner.target(image_id)

    def size(self, image_id: str) -> Size:
        """Return its size, without decoding it."""
        return self.inner.size(image_id)

    def fingerprint(self, split: str) -> str:
        """Return the hash of a split."""
        return self.inner.fingerprint(split)

    def group(self, image_id: str) -> str:
        """Return what the image must stay together with; its own id where the data set knows none."""
        return str(getattr(self.inner, "group", str)(image_id))

    def spacing(self, image_id: str) -> Spacing | None:
        """Return the distance of its pixels in millimetres; None where the data set does not say."""
        found: Spacing | None = getattr(self.inner, "spacing", lambda _: None)(image_id)
        return found

    def place(self, image_id: str) -> Place | None:
        """Return where it lies in its volume; None where it is no slice."""
        found: Place | None = getattr(self.inner, "place", lambda _: None)(image_id)
        return found


def groups_of(dataset: Dataset, image_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the patient, scene or film of each image, its own id where it is of none; empty where none is of any.

    Slices of a volume belong together whatever the data set says: where it knows no groups, they are the volumes.
    """
    of_group, place_of = getattr(dataset, "group", None), getattr(dataset, "place", None)
    groups = tuple(image_ids) if of_group is None else tuple(str(of_group(image_id)) for image_id in image_ids)
    if groups == tuple(image_ids) and place_of is not None:
        places: list[Place | None] = [place_of(image_id) for image_id in image_ids]
        groups = tuple(one if place is None else place.volume for one, place in zip(image_ids, places, strict=True))
    return () if groups == tuple(image_ids) else groups


def has_validation(spec: DatasetSpec, dataset: Dataset) -> bool:
    """Return whether a data set has a validation split that is not the scored one: what may choose thresholds."""
    return spec.val != spec.test and spec.val in dataset.splits() and len(dataset.ids(spec.val)) > 0


def dataset_names() -> list[str]:
    """Names of all data sets."""
    return module_names("bench.datasets")


def default_root(name: str) -> str | None:
    """Return where a data set of files looks unless its option `root` says otherwise; None without that option."""
    field = named_module("bench.datasets", name, "data set", "datasets").Options.model_fields.get("root")
    return None if field is None else str(field.default)


def option_names(name: str) -> list[str]:
    """Names of the options of a data set; none for one that does not exist."""
    if name not in dataset_names():
        return []
    return list(named_module("bench.datasets", name, "data set", "datasets").Options.model_fields)
