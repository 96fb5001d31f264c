"""Classes as other tools write them beside masks: Roboflow's `_classes.csv`, CVAT's `labelmap.txt`."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from bench.data.formats.documents import read_lines
from bench.data.formats.folder_classes import ClassFile, FolderClass, FolderTable, read_class_file, table_of
from bench.errors import DatasetError

LABELMAP = re.compile(r"^\s*(.+?)\s*:\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*:.*$")


def read_classes(path: Path) -> FolderTable:
    """Read a file of classes in the form that its name says: .csv, .txt, or else classes.yaml.

    Raises:
        DatasetError: If it is not of that form, naming the line.
    """
    rows = {".csv": _of_csv, ".txt": _of_labelmap}.get(path.suffix.lower())
    if rows is None:
        return read_class_file(path)
    try:
        return table_of(ClassFile(classes=tuple(rows(path))), path.name)
    except ValueError as error:
        reason = str(error).splitlines()[-2:] or [str(error)]
        raise DatasetError(f"{path}: {reason[0].strip()}. Every class needs a name and a value of its own.") from None


def _of_csv(path: Path) -> list[FolderClass]:
    """Rows of value and name below a header, as Roboflow's `Pixel Value, Class`."""
    lines = read_lines(path)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if rows and not rows[0][0].isdigit():
        rows = rows[1:]
    wrong = [row for row in rows if len(row) != 2 or not row[0].isdigit() or not row[1]]
    if wrong or not rows:
        shown = repr(",".join(wrong[0])) if wrong else "nothing"
        raise DatasetError(f"{path}: expected lines of pixel value and class, such as 1,cell; found {shown}.")
    return [FolderClass(name=name, value=int(value)) for value, name in rows]


def _of_labelmap(path: Path) -> list[FolderClass]:
    """Lines of `name:r,g,b:parts:actions`."""
    found = []
    for line in read_lines(path):
        match = LABELMAP.match(line)
        if match is None:
            raise DatasetError(f"{path}: expected lines of name:r,g,b:: such as cell:128,0,0::; found {line!r}.")
        red, green, blue = (int(text) for text in match.groups()[1:])
        found.append(FolderClass(name=match.group(1), colour=(red, green, blue)))
    return found
