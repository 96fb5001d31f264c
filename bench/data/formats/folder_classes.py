"""Classes of a folder of masks: written in classes.yaml, or as other tools write them, or inferred from the masks.

Others' are Roboflow's `_classes.csv`, CVAT's `labelmap.txt`, and lists of a name a line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator, model_validator

from bench.data.formats.documents import read_lines, read_yaml, whole_number, yaml_as_written
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import MAX_CLASSES, Rgb, map_colours, map_values, palette_colour
from bench.data.formats.mask_values import is_grey
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record
from bench.records.base import in_words
from bench.records.predictions import LabelMap

EXAMPLE = "classes: [{name: background, value: 0}, {name: cell, value: 1, colour: [255, 0, 0]}]\nvoid: [255]"


class FolderClass(Record):
    """One class in classes.yaml.

    Attributes:
        name: Unique.
        value: Pixel value (or palette index) in the masks; None if the masks hold colours.
        colour: RGB, 0-255: of the pixels where masks hold colours, otherwise for pictures only.
        thing: True if its objects can be counted.
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
        classes: Classes in order; class id = position.
        void: Values, or [R, G, B] colours, of pixels that are not scored; one value may stand without a list.
    """

    classes: tuple[FolderClass, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    void: tuple[int | tuple[int, int, int], ...] = ()

    @field_validator("void", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, value: object) -> object:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

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


class Binary(Record):
    """State how masks of two classes are read: a pixel is foreground from a grey value on.

    Attributes:
        threshold: The lowest value of the foreground, in the values of the file; 1-bit masks count as 0 and 255.
        channel: `alpha` takes the transparency instead of the grey value.
    """

    threshold: int = Field(ge=1, le=65535)
    channel: Literal["grey", "alpha"] = "grey"


@dataclass(frozen=True)
class FolderTable:
    """State how stored pixels become class ids.

    Attributes:
        by_value: Stored value -> class id or `IGNORE_LABEL`.
        by_colour: RGB -> class id or `IGNORE_LABEL`; empty if not every class has a colour.
        origin: Source of the table, for messages.
        inferred: The observation, if the table was inferred from the masks; else empty.
        binary: Rule by which masks of two classes are cut at a grey value; the two look-ups are not used then.
        void_by_default: True if 255 is void because a list of names has it so, and not because it was written.
    """

    classes: tuple[ClassSpec, ...]
    by_value: Mapping[int, int]
    by_colour: Mapping[Rgb, int]
    origin: str
    inferred: str = ""
    binary: Binary | None = None
    void_by_default: bool = False

    def labels(self, file: Path) -> LabelMap:
        """Return the class ids of a mask; raises `DatasetError` for a value or colour outside the table."""
        if self.binary is not None:
            return cut_at(file, self.binary)
        mask = read_mask(file)
        pixels = mask.pixels
        if mask.colours == "rgb" and not self.by_colour and is_grey(pixels):
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


def read_class_file(path: Path, void: int | Literal["none"] | None = None) -> FolderTable:
    """Read classes.yaml: a list of names (value = position), or `classes` and `void`.

    Args:
        void: The option of that name; None leaves 255 void for a list, and the file's own word otherwise.

    Raises:
        DatasetError: If it is neither, with an example.
    """
    document: Any = read_class_document(path)
    by_default = isinstance(document, list)
    if isinstance(document, list) and all(isinstance(name, str) for name in document):
        document = {"classes": [{"name": name, "value": value} for value, name in enumerate(document)], "void": [255]}
    if void is not None and isinstance(document, dict):
        document["void"] = [] if void == "none" else [void]
    try:
        checked = ClassFile.model_validate(document, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DatasetError(
            f"{path}: {place}: {in_words(first['msg'])}. Expected a list of names, or for example:\n{EXAMPLE}"
        ) from None
    return replace(table_of(checked, path.name), void_by_default=by_default)


def read_class_document(path: Path) -> Any:
    """Return the contents of classes.yaml, names as written; raises `DatasetError` for no YAML, or numbers alone.

    YAML takes `no`, `yes`, `on`, `off`, `null` and numbers without quotes for something else than text.
    """
    document = read_yaml(path)
    rows = document.get("classes") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        return document
    written = yaml_as_written(path)
    as_text = written["classes"] if isinstance(document, dict) else written
    if rows and all(isinstance(row, int | float) and not isinstance(row, bool) for row in rows):
        raise DatasetError(
            f"{path}: a list of names is expected, but it holds the numbers {as_text}. If these are the values in the "
            f"masks, give each a name, for example:\n{EXAMPLE}"
        )
    for index, (row, text) in enumerate(zip(rows, as_text, strict=True)):
        if isinstance(row, dict) and "name" in row:
            row["name"] = text["name"]
        elif not isinstance(row, dict | list):
            rows[index] = text
    if isinstance(document, dict) and rows and all(isinstance(row, str) for row in rows):
        document["classes"] = [{"name": name, "value": value} for value, name in enumerate(rows)]
    return document


def binary_table(binary: Binary, class_file: Path) -> FolderTable:
    """Make the table of masks cut at a grey value; raises `DatasetError` if the file names more or fewer than two."""
    names = ["background", "foreground"]
    colours: list[Rgb | None] = [None, (255, 255, 255)]
    if class_file.is_file():
        classes = read_class_file(class_file).classes
        if len(classes) != 2:
            raise DatasetError(
                f"{class_file} names {len(classes)} classes, but the option binary makes two: what is below the "
                "threshold, then the rest. Name these two, or take the option away."
            )
        names, colours = [c.name for c in classes], [c.colour for c in classes]
    rows = [FolderClass(name=name, value=i, colour=colours[i]) for i, name in enumerate(names)]
    table = table_of(ClassFile(classes=tuple(rows)), "the option binary")
    return replace(table, binary=binary, by_value={}, by_colour={})


def cut_at(file: Path, binary: Binary) -> LabelMap:
    """Return 1 where a mask reaches the threshold, else 0, uint8, (H, W).

    Raises:
        DatasetError: If the file has no transparency where that is asked for, or holds 0 and 1 alone, which a
            threshold above 1 would make empty.
    """
    mask = read_mask(file, lossy=True, alpha="keep")
    if binary.channel == "alpha":
        if mask.alpha is None:
            raise DatasetError(f"{file} has no alpha channel, which the option binary asks for.", kind="labels")
        pixels = mask.alpha
    elif mask.bits == 1:
        pixels = mask.pixels * np.uint8(255)
    elif mask.palette is not None:
        pixels = _brightness(np.array(mask.palette, dtype=np.uint8)[mask.pixels])
    else:
        pixels = mask.pixels if mask.pixels.ndim == 2 else _brightness(mask.pixels)
    if pixels.max(initial=0) == 1 and binary.threshold > 1:
        raise DatasetError(
            f"{file} holds 0 and 1 alone, all below the threshold {binary.threshold}; it would become empty. If "
            "everything but 0 is foreground, write the option binary: {threshold: 1}.",
            kind="labels",
        )
    return np.asarray(pixels >= binary.threshold, dtype=np.uint8)


def _brightness(rgb: NDArray[np.uint8]) -> NDArray[Any]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY))


def table_of(checked: ClassFile, origin: str, inferred: str = "") -> FolderTable:
    """Make the table of a class file; `origin` and `inferred` are as in `FolderTable`."""
    classes = tuple(
        ClassSpec(name=c.name, is_thing=c.thing, colour=c.colour or palette_colour(index))
        for index, c in enumerate(checked.classes)
    )
    by_value = {c.value: index for index, c in enumerate(checked.classes) if c.value is not None}
    by_colour = {c.colour: index for index, c in enumerate(checked.classes) if c.colour is not None}
    void_values = {mark: IGNORE_LABEL for mark in checked.void if isinstance(mark, int)}
    void_colours = {mark: IGNORE_LABEL for mark in checked.void if not isinstance(mark, int)}
    of_values = {**by_value, **void_values} if len(by_value) == len(classes) else {}
    of_colours = {**by_colour, **void_colours} if len(by_colour) == len(classes) else {}
    return FolderTable(classes, of_values, of_colours, origin, inferred)


IGNORED = "__ignore__"
"""LabelMe's name of what is not scored: the value 255, not a class."""

LABELMAP = re.compile(r"^\s*(.+?)\s*:\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(:.*)?$")


def read_classes(path: Path, void: int | Literal["none"] | None = None) -> FolderTable:
    """Read a file of classes in the form that its name says: .csv, .txt, or else classes.yaml.

    Args:
        void: The value that is not scored; None leaves 255 void for a list of names, and none for the other two.

    Raises:
        DatasetError: If it is not of that form, naming the line.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".txt"):
        return read_class_file(path, void)
    names = _plain_names(path) if suffix == ".txt" else None
    if names is not None:
        rows = [FolderClass(name=name, value=value) for value, name in enumerate(names)]
    else:
        rows = _of_csv(path) if suffix == ".csv" else labelmap_rows(path)
    if void is None:
        void = "none" if names is None else 255
    try:
        table = table_of(ClassFile(classes=tuple(rows), void=() if void == "none" else (void,)), path.name)
        return replace(table, void_by_default=names is not None)
    except ValueError as error:
        reason = str(error).splitlines()[-2:] or [str(error)]
        raise DatasetError(f"{path}: {reason[0].strip()}. Every class needs a name and a value of its own.") from None


def _plain_names(path: Path) -> list[str] | None:
    """Return names of a list of one name a line, whose positions are values; None if any line is of another form."""
    lines = [line.strip() for line in read_lines(path)]
    if not lines or any(":" in line or "," in line for line in lines):
        return None
    return [line for line in lines if line != IGNORED]


def _of_csv(path: Path) -> list[FolderClass]:
    """Return rows of value and name below a header, as Roboflow's `Pixel Value, Class`."""
    lines = read_lines(path)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if rows and whole_number(rows[0][0]) is None:
        rows = rows[1:]
    wrong = [row for row in rows if len(row) != 2 or not _is_value(row[0]) or not row[1]]
    if wrong or not rows:
        shown = repr(",".join(wrong[0])) if wrong else "nothing"
        raise DatasetError(f"{path}: expected lines of pixel value and class, such as 1,cell; found {shown}.")
    return [FolderClass(name=name, value=int(value)) for value, name in rows]


def _is_value(text: str, most: int = 65535) -> bool:
    number = whole_number(text)
    return number is not None and number <= most


def labelmap_rows(path: Path) -> list[FolderClass]:
    """Return classes of a labelmap.txt; raises `DatasetError` for a line that is not `name:r,g,b:parts:actions`."""
    found = []
    for line in read_lines(path):
        match = LABELMAP.match(line)
        if match is None or not all(_is_value(text, most=255) for text in match.groups()[1:4]):
            raise DatasetError(f"{path}: expected lines of name:r,g,b:: such as cell:128,0,0::; found {line!r}.")
        red, green, blue = (int(text) for text in match.groups()[1:4])
        found.append(FolderClass(name=match.group(1), colour=(red, green, blue)))
    return found
