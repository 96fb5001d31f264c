"""Classes as other tools write them beside masks: Roboflow's `_classes.csv`, CVAT's `labelmap.txt`, a name a line."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.data.formats.documents import read_lines, whole_number
from bench.data.formats.folder_classes import ClassFile, FolderClass, FolderTable, read_class_file, table_of
from bench.errors import DatasetError

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
    """Return names and colours of a labelmap.txt, lines of `name:r,g,b:parts:actions`.

    Raises:
        DatasetError: If a line is of another form.
    """
    found = []
    for line in read_lines(path):
        match = LABELMAP.match(line)
        if match is None or not all(_is_value(text, most=255) for text in match.groups()[1:4]):
            raise DatasetError(f"{path}: expected lines of name:r,g,b:: such as cell:128,0,0::; found {line!r}.")
        red, green, blue = (int(text) for text in match.groups()[1:4])
        found.append(FolderClass(name=match.group(1), colour=(red, green, blue)))
    return found
