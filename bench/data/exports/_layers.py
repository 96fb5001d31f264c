"""Everything in an image as masks that lie on one another, for formats that hold a list of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.exports._writing import objects_of
from bench.dataset import Dataset, GroundTruth
from bench.records import ClassSpec, void_of


class Layer(NamedTuple):
    """One object, or the stuff of a class: the place of its name among the labels, its mask, whether it is a crowd."""

    label: int
    mask: NDArray[np.bool_]
    crowd: bool


@dataclass(frozen=True)
class Layers:
    """A data set in layers.

    Attributes:
        labels: Names of the classes, then that of void, which no class has.
    """

    labels: tuple[str, ...]
    _classes: Sequence[ClassSpec]
    _with_objects: bool
    _form: str

    @property
    def void(self) -> str:
        """The name of void."""
        return self.labels[-1]

    def options(self, folder: Path) -> dict[str, JsonValue]:
        """Return what a reader is told: where it lies, the label that is void, the labels that are stuff."""
        stuff: list[JsonValue] = [
            label for label, spec in zip(self.labels, self._classes, strict=False) if not spec.is_thing
        ]
        return {"root": str(folder), "background": None, "void": [self.void], "stuff": stuff}

    def of(self, ground_truth: GroundTruth) -> Iterator[Layer]:
        """Yield the layers of an image from the bottom to the top: stuff, objects (the smaller above), void."""
        labels = ground_truth.semantic.labels
        for class_id, spec in enumerate(self._classes):
            if (not spec.is_thing or not self._with_objects) and (labels == class_id).any():
                yield Layer(class_id, labels == class_id, False)
        if self._with_objects:
            objects = objects_of(ground_truth, self._classes, form=self._form)
            areas = objects.masks.sum(axis=(1, 2)).tolist()
            for index in sorted(range(len(areas)), key=lambda i: (not objects.crowd[i], -areas[i])):
                if areas[index]:
                    yield Layer(int(objects.class_ids[index]), objects.masks[index], bool(objects.crowd[index]))
        void = labels == void_of(labels)
        if void.any():
            yield Layer(len(self._classes), void, False)


def layers_of(source: Dataset, names: Mapping[str, str] | None, *, form: str) -> Layers:
    """Return the layers of a data set under the names that a format is to have; `names` renames classes."""
    labels = [(names or {}).get(spec.name, spec.name) for spec in source.classes]
    void = "void"
    while void in labels:
        void += "_"
    with_objects = bool({"instance", "panoptic"} & set(source.tasks))
    return Layers((*labels, void), source.classes, with_objects, form)
