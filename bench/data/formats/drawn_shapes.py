"""Draws what annotation tools have in common: shapes with labels, over each other, as classes and objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.formats.label_tables import MAX_CLASSES, named_classes
from bench.data.formats.rasters import stacked
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size
from bench.records.predictions import SemanticMap


class ShapeOptions(Record):
    """Options of data sets of shapes.

    Attributes:
        ignore_labels: Labels whose shapes are left out, as if they were not there.
        void: Labels whose pixels are not scored.
        stuff: Labels without countable objects.
        background: Class of pixels in no shape; None makes them void.
    """

    ignore_labels: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    background: str | None = "background"

    @property
    def decisive(self) -> list[JsonValue]:
        """Return those that decide what a ground truth is."""
        return [self.background, list(self.void), list(self.ignore_labels)]


@dataclass(frozen=True)
class Shape:
    """One drawn shape.

    Attributes:
        label: Label of the tool.
        mask: bool, (H, W).
        group: Shapes of one label and group are one object; None for a shape that is one by itself.
    """

    label: str
    mask: NDArray[np.bool_]
    group: object = None


@dataclass(frozen=True)
class ShapeClasses:
    """The label space of shapes.

    Attributes:
        classes: Labels in use, and the background if there is one.
        class_of: Label -> class id, or void.
        background: Class id of pixels in no shape, or void.
    """

    classes: tuple[ClassSpec, ...]
    class_of: Mapping[str, int]
    background: int

    def ground_truth(self, shapes: Iterable[Shape], size: Size) -> GroundTruth:
        """Return the ground truth of shapes in the order in which they lie on each other, the top one last."""
        labels = np.full(size, self.background, dtype=np.uint8)
        masks: dict[object, NDArray[np.bool_]] = {}
        class_ids: dict[object, int] = {}
        for number, shape in enumerate(shapes):
            class_id = self.class_of[shape.label]
            labels[shape.mask] = class_id
            if class_id != IGNORE_LABEL and self.classes[class_id].is_thing and shape.mask.any():
                key: object = number if shape.group is None else (shape.label, shape.group)
                masks[key] = masks[key] | shape.mask if key in masks else shape.mask
                class_ids[key] = class_id
        instances = stacked(list(masks.values()), list(class_ids.values()), [False] * len(masks), size)
        return GroundTruth(SemanticMap(labels), instances)


def classes_in_use(
    seen: Mapping[str, Path], declared: Sequence[str] | None, options: ShapeOptions, where: str
) -> ShapeClasses:
    """Return the label space of labels, each with a file that has it; raises `DatasetError` for an undeclared one."""
    found = sorted(set(seen) - {*options.ignore_labels, *options.void, options.background or ""})
    for label in found:
        if declared is not None and label not in declared:
            raise DatasetError(
                f"{seen[label]}: the label {label!r} is not among classes: {', '.join(declared)}."
                f"{did_you_mean(label, declared)} Correct it, or add it to classes, void or ignore_labels.",
                kind="labels",
            )
    return shape_classes(declared or found, options, where)


def shape_classes(labels: Sequence[str], options: ShapeOptions, where: str) -> ShapeClasses:
    """Return the label space of the labels in use, in their order; the background first unless it is among them.

    Raises:
        DatasetError: If there are none, or more than an 8-bit map has.
    """
    apart = {*options.ignore_labels, *options.void}
    names = [name for name in dict.fromkeys(labels) if name not in apart]
    if options.background is not None and options.background not in names:
        names.insert(0, options.background)
    if not names or len(names) >= MAX_CLASSES:
        raise DatasetError(f"{where} has {len(names)} labels; expected 1 to {MAX_CLASSES - 1}.")
    stuff = {*options.stuff, options.background}
    classes = named_classes(names, things={*names} - stuff, background=options.background)
    class_of = {**{name: i for i, name in enumerate(names)}, **dict.fromkeys(options.void, IGNORE_LABEL)}
    background = IGNORE_LABEL if options.background is None else names.index(options.background)
    return ShapeClasses(classes, class_of, background)
