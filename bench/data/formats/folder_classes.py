"""Classes of a folder of masks: written in classes.yaml, or inferred from the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from bench.data.formats.documents import read_yaml
from bench.data.formats.image_files import StoredMask, read_mask
from bench.data.formats.label_tables import MAX_CLASSES, Rgb, map_colours, map_values, palette_colour
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record
from bench.records.predictions import LabelMap

EXAMPLE = "classes: [{name: background, value: 0}, {name: cell, value: 1, colour: [255, 0, 0]}]\nvoid: [255]"


class FolderClass(Record):
    """One class in classes.yaml.

    Attributes:
        name: Unique.
        value: Pixel value (or palette index) in the masks; None if the masks hold colours.
        colour: RGB, 0-255: of the pixels where masks hold colours, otherwise for pictures only.
        thing: Whether its objects can be counted.
    """

    name: str = Field(min_length=1)
    value: int | None = Field(default=None, ge=0, le=65535)
    colour: tuple[int, int, int] | None = None
    thing: bool = False

    @model_validator(mode="after")
    def _has_a_mark(self) -> FolderClass:
        if self.value is None and self.colour is None:
            raise ValueError(f"class {self.name!r} needs a value or a colour")
        return self


class ClassFile(Record):
    """Contents of classes.yaml.

    Attributes:
        classes: In order; class id = position.
        void: Values, or [R, G, B] colours, of pixels that are not scored.
    """

    classes: tuple[FolderClass, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    void: tuple[int | tuple[int, int, int], ...] = ()

    @model_validator(mode="after")
    def _is_unambiguous(self) -> ClassFile:
        values = [c.value for c in self.classes if c.value is not None] + [v for v in self.void if isinstance(v, int)]
        kinds: dict[str, Sequence[object]] = {"name": [c.name for c in self.classes], "value": values}
        if any(c.value is None for c in self.classes):  # then colours tell classes apart
            kinds["colour"] = [*(c.colour for c in self.classes), *(v for v in self.void if not isinstance(v, int))]
        for kind, marks in kinds.items():
            twice = [mark for index, mark in enumerate(marks) if mark in marks[:index]]
            if twice:
                raise ValueError(f"the {kind} {twice[0]!r} is given twice")
        return self


@dataclass(frozen=True)
class FolderTable:
    """How stored pixels become class ids.

    Attributes:
        classes: The label space.
        by_value: Stored value -> class id or `IGNORE_LABEL`.
        by_colour: RGB -> class id or `IGNORE_LABEL`; empty if not every class has a colour.
        origin: Where the table comes from, for messages.
    """

    classes: tuple[ClassSpec, ...]
    by_value: Mapping[int, int]
    by_colour: Mapping[Rgb, int]
    origin: str

    def labels(self, file: Path) -> LabelMap:
        """Class ids of a mask; raises `DatasetError` for a value or colour outside the table."""
        mask = read_mask(file)
        pixels = mask.pixels
        if mask.colours == "rgb" and not self.by_colour and _is_grey(mask):
            pixels = pixels[..., 0]
        if pixels.ndim == 3:
            if not self.by_colour:
                raise DatasetError(
                    f"{file} holds colours, but {self.origin} tells classes by value. A palette image was probably "
                    "read and written as RGB (OpenCV and .convert('RGB') do that). Write the indices themselves, or "
                    "give every class its colour in classes.yaml.",
                    kind="colours",
                )
            return map_colours(pixels, self.by_colour, file=file, known=self._known(colours=True))
        if not self.by_value:
            palette = mask.palette or tuple((value, value, value) for value in range(256))
            coloured = np.array(palette, dtype=np.uint8)[np.minimum(pixels, len(palette) - 1)]
            return map_colours(coloured, self.by_colour, file=file, known=self._known(colours=True))
        return map_values(pixels, self.by_value, file=file, known=self._known(colours=False))

    def _known(self, *, colours: bool) -> str:
        marks = self.by_colour if colours else self.by_value
        shown = ", ".join(str(mark).strip("()").replace(" ", "") for mark in list(marks)[:20])
        more = ", …" if len(marks) > 20 else ""
        return f"{self.origin} knows {shown}{more}. Add it to classes.yaml as a class or as void, or fix the mask."


def read_class_file(path: Path) -> FolderTable:
    """Read classes.yaml: a list of names (value = position), or `classes` and `void`.

    Raises:
        DatasetError: If it is neither, with an example.
    """
    document: Any = read_yaml(path)
    if isinstance(document, list) and all(isinstance(name, str) for name in document):
        document = {"classes": [{"name": name, "value": value} for value, name in enumerate(document)], "void": [255]}
    try:
        checked = ClassFile.model_validate(document, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DatasetError(
            f"{path}: {place}: {first['msg']}. Expected a list of names, or for example:\n{EXAMPLE}"
        ) from None
    return _table(checked, path.name)


def _table(checked: ClassFile, origin: str) -> FolderTable:
    classes = tuple(
        ClassSpec(name=c.name, is_thing=c.thing, colour=c.colour or palette_colour(index))
        for index, c in enumerate(checked.classes)
    )
    by_value = {c.value: index for index, c in enumerate(checked.classes) if c.value is not None}
    by_colour = {c.colour: index for index, c in enumerate(checked.classes) if c.colour is not None}
    complete = len(by_colour) == len(classes)
    return FolderTable(
        classes=classes,
        by_value={**by_value, **{v: IGNORE_LABEL for v in checked.void if isinstance(v, int)}}
        if len(by_value) == len(classes)
        else {},
        by_colour={**by_colour, **{v: IGNORE_LABEL for v in checked.void if not isinstance(v, int)}}
        if complete
        else {},
        origin=origin,
    )


def inferred_table(masks: Sequence[Path], folder: Path) -> FolderTable:
    """Make a table from the values that occur; reads every mask once.

    Masks of 0 and 255 alone are background and foreground. Otherwise every value is a class of its
    own and 255 is void. Colours are classes in the order of their values.

    Raises:
        DatasetError: If some masks hold values and some colours, or there are too many of either.
    """
    values: set[int] = set()
    colours: set[Rgb] = set()
    for path in masks:
        mask = read_mask(path)
        if mask.colours == "rgb" and not _is_grey(mask):
            colours.update(map(tuple, np.unique(mask.pixels.reshape(-1, 3), axis=0).tolist()))
        else:
            flat = mask.pixels if mask.pixels.ndim == 2 else mask.pixels[..., 0]
            values.update(np.unique(flat).tolist())
        if max(len(values), len(colours)) > MAX_CLASSES + 1:
            raise DatasetError(
                f"{folder}: the masks hold more than {MAX_CLASSES} {'colours' if colours else 'values'} "
                f"(up to {path.name}); these are no labels. Masks that were resized with smoothing, or stored as JPEG, "
                "look like this. Make them again with nearest-neighbour, or write a classes.yaml."
            )
    origin = f"the table inferred from {folder}"
    if colours:
        # Grey masks beside coloured ones are masks that happen to hold only black or grey.
        colours |= {(value, value, value) for value in values}
        rows = [FolderClass(name=f"rgb {r},{g},{b}", colour=(r, g, b)) for r, g, b in sorted(colours)]
        return _table(ClassFile(classes=tuple(rows)), origin)
    if values <= {0, 255} and 255 in values:
        return _table(
            ClassFile(
                classes=(
                    FolderClass(name="background", value=0),
                    FolderClass(name="foreground", value=255, colour=(255, 255, 255)),
                )
            ),
            origin,
        )
    named = [FolderClass(name=f"class {value}", value=value) for value in sorted(values - {IGNORE_LABEL})]
    return _table(ClassFile(classes=tuple(named), void=(IGNORE_LABEL,)), origin)


def _is_grey(mask: StoredMask) -> bool:
    red, green, blue = (mask.pixels[..., channel] for channel in range(3))
    return bool((red == green).all() and (green == blue).all())
