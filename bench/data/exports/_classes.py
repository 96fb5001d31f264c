"""The classes of a source in a format, and its ground truth by classes, by objects, or as masks on one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.exports._writing import Names
from bench.data.formats.rasters import instances_from_panoptic
from bench.dataset import Dataset, GroundTruth
from bench.datasets.shapes import NAMES
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, void_of
from bench.records.predictions import Instances, LabelMap

SHAPES: dict[str, tuple[str, ...]] = {
    "cityscapes": ("sky", "road", "terrain", "person", "rider", "car", "truck", "bus", "bicycle", "train"),
    "voc": (
        "background", "background", "background",
        "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    ),
    "coco": (
        "sky-other", "dirt", "sea", "sports ball", "book", "kite", "donut", "scissors", "bottle", "stop sign",
    ),
    "ade20k": ("sky", "earth", "water", "ball", "box", "flag", "plate", "lamp", "bottle", "clock"),
    "camvid": (
        "Sky", "Road", "Sidewalk", "Car", "Pedestrian", "SignSymbol", "Bicyclist", "Fence", "Truck_Bus", "Train",
    ),
    "pets": ("background", "background", "background", *("pet",) * 7),
    "carvana": ("background", "background", "background", *("car",) * 7),
}  # fmt: skip
"""Format -> what sky, ground, water, disc, … of `shapes` become in it."""


def renamed(source: Dataset, names: Names) -> list[str]:
    """Return the names that the classes of a source are to have."""
    return [names.get(spec.name, spec.name) for spec in source.classes]


def class_map(source: Sequence[ClassSpec], known: Sequence[str], names: Names, *, form: str) -> list[int]:
    """Return the position among the format's classes of each source class.

    Args:
        known: Names of the format's classes.
        names: Source class -> class of the format; none takes equal names, or the table above.

    Raises:
        DatasetError: If a class has no counterpart, with both sides.
    """
    own = [c.name for c in source]
    if not names and tuple(own) == NAMES:
        names = dict(zip(NAMES, SHAPES[form], strict=True))
    wanted = [names.get(name, name) for name in own]
    lost = [name for name, target in zip(own, wanted, strict=True) if target not in known]
    if lost:
        raise DatasetError(
            f"{form}: no class for {', '.join(lost)}. Give each of the source's classes ({', '.join(own)}) the name "
            f"of one of the format's ({', '.join(known)}); several may share one."
        )
    return [list(known).index(target) for target in wanted]


def mapped(labels: LabelMap, values: Sequence[int], *, void: int) -> NDArray[np.uint8]:
    """Return the value of each class id, uint8, (H, W); void pixels get `void`."""
    table = np.full(256, void, dtype=np.uint8)
    table[: len(values)] = values
    table[IGNORE_LABEL] = void
    return np.asarray(table[labels])


def has_objects(source: Dataset) -> bool:
    """Return whether the ground truth of a source has instances or segments."""
    return bool({"instance", "panoptic"} & set(source.tasks))


def objects_of(ground_truth: GroundTruth, classes: Sequence[ClassSpec], *, form: str) -> Instances:
    """True instances of things: those of the ground truth, or its panoptic segments of things.

    Raises:
        DatasetError: If the ground truth has neither.
    """
    if ground_truth.instances is not None:
        return ground_truth.instances
    if ground_truth.panoptic is None:
        raise DatasetError(
            f"{form}: the source has no instances, only classes of pixels, and this format is about objects. "
            "Export it as folder, voc or ade20k."
        )
    return instances_from_panoptic(ground_truth.panoptic, classes)


def rows_of(objects: Instances) -> Iterator[tuple[NDArray[np.bool_], int, bool]]:
    """Yield mask, class id and whether it is a crowd of each object."""
    return zip(objects.masks, objects.class_ids.tolist(), objects.crowd.tolist(), strict=True)


def box_of(mask: NDArray[np.bool_]) -> list[int]:
    """Return left, top, width and height of a mask, (H, W), in pixels."""
    return list(cv2.boundingRect(mask.astype(np.uint8)))


LAYERS_LOSS = (
    "panoptic segments: objects and the class of each pixel are kept",
    "where objects overlap, the smaller one is on top in the map of classes",
)
"""What formats that hold layers lose."""


class Layer(NamedTuple):
    """One object, or the stuff of a class: its label, its mask, whether it is a crowd."""

    label: str
    mask: NDArray[np.bool_]
    crowd: bool = False


@dataclass(frozen=True)
class Layers:
    """Everything in an image as masks that lie on one another, for formats that hold a list of objects.

    Attributes:
        labels: Names of the classes, then that of void, which no class has.
    """

    labels: tuple[str, ...]
    _source: Dataset
    _form: str

    def options(self) -> dict[str, JsonValue]:
        """Return what a reader is told: the label that is void, the labels that are stuff."""
        named = zip(self.labels, self._source.classes, strict=False)
        stuff: list[JsonValue] = [label for label, spec in named if not spec.is_thing]
        return {"background": None, "void": [self.labels[-1]], "stuff": stuff}

    def of(self, ground_truth: GroundTruth) -> Iterator[Layer]:
        """Yield the layers of an image from the bottom to the top: stuff, objects (the smaller above), void."""
        labels, with_objects = ground_truth.semantic.labels, has_objects(self._source)
        for class_id, spec in enumerate(self._source.classes):
            if (not spec.is_thing or not with_objects) and (labels == class_id).any():
                yield Layer(self.labels[class_id], labels == class_id)
        if with_objects:
            rows = list(rows_of(objects_of(ground_truth, self._source.classes, form=self._form)))
            areas = [int(mask.sum()) for mask, _, _ in rows]
            for index in sorted(range(len(rows)), key=lambda i: (not rows[i][2], -areas[i])):
                if areas[index]:
                    mask, class_id, crowd = rows[index]
                    yield Layer(self.labels[class_id], mask, crowd)
        void = labels == void_of(labels)
        if void.any():
            yield Layer(self.labels[-1], void)


def layers_of(source: Dataset, names: Names, *, form: str) -> Layers:
    """Return the layers of a data set under the names that a format is to have."""
    labels, void = renamed(source, names), "void"
    while void in labels:
        void += "_"
    return Layers((*labels, void), source, form)
