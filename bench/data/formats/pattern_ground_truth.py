"""Holds what a suite may say of a folder whose files are found by patterns, and the ground truth of its masks.

Masks hold classes, or there is one for each class, or they hold objects; `folder.Options` adds these options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.formats.bands import BandOptions
from bench.data.formats.folder_classes import Binary
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import pack_rgb
from bench.data.formats.on_disk import Entry
from bench.data.formats.rasters import painted, stacked
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import Size
from bench.records.predictions import Instances, SemanticMap

BACKGROUND = "background"


@dataclass(frozen=True)
class MaskRule:
    """State how the masks of an image become its ground truth.

    Attributes:
        hold: Objects by number, one object a file, or, with `classes`, one class a file.
        class_of: Name of a class -> class id; 0 is the background.
        classes_of: Mask -> name of its class.
        threshold: Least value that is yes; None expects two values.
        on_top: True if pixels in two classes belong to the later one.
    """

    hold: MasksHold
    class_of: Mapping[str, int]
    classes_of: Mapping[Path, str]
    threshold: int | None
    on_top: bool

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return the ground truth of an image; raises `DatasetError` for masks that are not what the rule expects."""
        if self.hold == "classes":
            return GroundTruth(SemanticMap(self._one_mask_a_class(entry)))
        masks: list[NDArray[np.bool_]] = []
        class_ids: list[int] = []
        for file in entry.ground_truths:
            objects = numbered(file) if self.hold == "instances" else [yes_or_no(file, self.threshold)]
            masks += objects
            class_ids += [self.class_of[self.classes_of[file]]] * len(objects)
        instances = _stacked(masks, class_ids, entry)
        return GroundTruth(SemanticMap(painted(instances, background=0)), instances)

    def _one_mask_a_class(self, entry: Entry) -> NDArray[np.uint8]:
        files = sorted(entry.ground_truths, key=lambda file: self.class_of[self.classes_of[file]])
        labels: NDArray[np.uint8] | None = None
        for file in files:
            mask, class_id = yes_or_no(file, self.threshold), self.class_of[self.classes_of[file]]
            if labels is None:
                labels = np.zeros(mask.shape, dtype=np.uint8)
            _require_size(mask, labels.shape, file, files[0])
            taken = mask & (labels != 0) & (labels != class_id)
            if taken.any() and not self.on_top:
                raise DatasetError(
                    f"{file}: {int(taken.sum())} pixels are also in another class of {entry.image.name}, and a pixel "
                    "has one class. Say which lies on top, the last one highest, for example class_order: "
                    f"[{', '.join(name for name in self.class_of if name != BACKGROUND)}].",
                    kind="labels",
                )
            labels[mask] = class_id
        assert labels is not None
        return labels


def numbered(file: Path) -> list[NDArray[np.bool_]]:
    """Return the mask of each object, bool, (H, W), of one whose values or colours are numbers; 0 or black is none."""
    pixels = read_mask(file).pixels
    numbers = pack_rgb(pixels) if pixels.ndim == 3 else pixels
    return [numbers == value for value in np.unique(numbers).tolist() if value != 0]


def yes_or_no(file: Path, threshold: int | None) -> NDArray[np.bool_]:
    """Return where a mask says yes, bool, (H, W); raises `DatasetError` for over two values without a threshold."""
    stored = read_mask(file)
    pixels: NDArray[Any] = stored.pixels
    if pixels.ndim == 3:
        pixels = pixels.max(axis=2)
    elif stored.colours == "indices" and stored.palette is not None:
        brightest = np.array([max(colour) for colour in stored.palette] + [0] * 256, dtype=np.int64)
        # A palette of black alone says nothing: the indices do.
        pixels = brightest[pixels] if brightest[np.unique(pixels)].any() else pixels
    if threshold is not None:
        return np.asarray(pixels >= threshold)
    values = np.unique(pixels)
    if len(values[values != 0]) > 1:
        shown = ", ".join(map(str, values[:6].tolist())) + (", …" if len(values) > 6 else "")
        raise DatasetError(
            f"{file} should say yes or no, 0 or one other value, but holds {len(values)} values: {shown}. If the "
            "greys between are the work of smoothing or JPEG, write threshold: 128; if the values are numbers of "
            "objects, write masks_hold: instances.",
            kind="labels",
        )
    return np.asarray(pixels != 0)


def _stacked(masks: Sequence[NDArray[np.bool_]], class_ids: Sequence[int], entry: Entry) -> Instances:
    size = Size(*(masks[0] if masks else read_mask(entry.ground_truths[0]).pixels).shape[:2])
    for mask in masks:
        _require_size(mask, size, entry.ground_truths[-1], entry.ground_truths[0])
    kept = [(mask, class_id) for mask, class_id in zip(masks, class_ids, strict=True) if mask.any()]
    return stacked([mask for mask, _ in kept], [c for _, c in kept], [False] * len(kept), size)


def _require_size(mask: NDArray[np.bool_], size: Sequence[int], file: Path, other: Path) -> None:
    if tuple(mask.shape) != tuple(size):
        raise DatasetError(
            f"{file} has {mask.shape[0]} × {mask.shape[1]} pixels, {other.name}, another mask of the same image, has "
            f"{size[0]} × {size[1]} (height × width). Make them again from one image.",
            kind="size",
        )


SplitRule = Literal["auto", "folders", "lists", "pattern", "fraction"]
MasksHold = Literal["classes", "instances", "object"]


class FolderOptions(BandOptions):
    """Options of `folder` that patterns read as well; their meaning stands there."""

    root: str = "data/folder"
    images: str = "images"
    masks: str = "masks"
    mask_suffix: str = ""
    classes: str = "classes.yaml"
    binary: Binary | None = None
    void: Annotated[int, Field(ge=0, le=65535)] | Literal["none"] | None = None
    group: str | None = None
    split_by: SplitRule = "auto"


class PatternOptions(FolderOptions):
    """Options that matter where `images` or `masks` of a folder is a pattern with `{id}`.

    Attributes:
        masks_hold: Meaning of a pixel of a mask. `classes`: its class. `instances`: the number (or the colour) of its
            object, 0 (or black) being none. `object`: whether it is in the one object of this file; an image may have
            several such files.
        object_class: Name of the class of objects, with `instances` and `object`, unless the masks' pattern has
            `{class}`.
        threshold: Lowest value that is a yes, where masks say yes or no. None expects masks of 0 and one other value.
        class_order: Order of all classes but `background`, with one mask for each class; later ones are on top of
            earlier ones. None takes the order of the names and refuses pixels that are in two.
    """

    masks_hold: MasksHold = "classes"
    object_class: str = Field(default="object", min_length=1)
    threshold: int | None = Field(default=None, ge=1, le=65535)
    class_order: tuple[str, ...] | None = None
