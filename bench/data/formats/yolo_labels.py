"""Label files of YOLO: which belong to which images, and their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import read_text
from bench.data.formats.file_names import is_hidden, names_in, one_spelling, spelt_otherwise, stem_of
from bench.data.formats.yolo_yaml import ListedImages
from bench.errors import DatasetError
from bench.records.damage import head_of

NO_LABELS = ("classes.txt", "labels.txt", "notes.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt")
"""Text files that exporters put beside labels."""
TOLERANCE = 0.01
"""This says how far outside 0-1 a coordinate may lie; Ultralytics allows the same."""


class LabelFiles(NamedTuple):
    """Label files compared with the images of a split.

    Attributes:
        without: Positions of the images that have none.
        spelt: Position of an image -> name of its label file, where the letters are composed otherwise, or in case.
        stray: Label files that fit no image.
    """

    without: list[int]
    spelt: dict[int, str]
    stray: list[Path]


def compare_labels(images: ListedImages, label_folders: Mapping[str, str]) -> LabelFiles:
    """Look for labels of each image in the folder that belongs to its own; each folder is listed once."""
    left = {place: {n for n in names_in(place) if n[-4:].lower() == ".txt"} for place in {*label_folders.values()}}
    without = []
    for position, (folder, name) in enumerate(zip(images.folders, images.names, strict=True)):
        try:
            left[label_folders[folder]].remove(f"{stem_of(name)}.txt")
        except KeyError:
            without.append(position)
    spelt: dict[int, str] = {}
    if without:
        left_over = {place: spelt_otherwise(names) for place, names in left.items()}
        for position in without:
            place = label_folders[images.folders[position]]
            spelling = one_spelling(f"{stem_of(images.names[position])}.txt")
            if spelling in left_over[place]:
                spelt[position] = left_over[place].pop(spelling)
                left[place].remove(spelt[position])
        without = [position for position in without if position not in spelt]
    stray: list[Path] = []
    for place, names in sorted(left.items()):
        if not names:
            continue
        listed = zip(images.folders, images.names, strict=True)
        beside = {name for folder, name in listed if os.path.normpath(folder) == place}
        stray += [Path(place, name) for name in sorted(names) if _is_label_file(place, name, beside)]
    return LabelFiles(without, spelt, stray)


def labels_elsewhere(images: ListedImages) -> str:
    """Return where files with the names of labels lie instead, as a part of a sentence; nothing if they do nowhere."""
    folder, wanted = Path(os.path.normpath(images.folders[0])), {f"{stem_of(name)}.txt" for name in images.names}
    parts = folder.parts
    at = len(parts) - 1 - parts[::-1].index("images") if "images" in parts else len(parts) - 1
    for beside in sorted(names_in(Path(*parts[:at]))):
        other = Path(*parts[:at], beside, *parts[at + 1 :])
        if beside not in (parts[at], "labels") and not is_hidden(beside) and wanted & names_in(other):
            return f"; {other} has files of their names: the folder beside images must be called labels"
    return ""


def _is_label_file(place: str, name: str, beside: set[str]) -> bool:
    """Return whether a text file seems to be one of labels; `beside` are the images in its folder."""
    if is_hidden(name) or name.lower() in NO_LABELS:
        return False
    # Beside images there are lists of images, too; a label file begins with a number.
    return not beside or stem_of(name) in beside or _looks_like_labels(Path(place, name))


def _looks_like_labels(path: Path) -> bool:
    words = head_of(path, 200).split() if path.is_file() else []
    return len(words) > 6 and words[0].isdigit()


def label_notes(images: ListedImages, files: LabelFiles, *, leave_out: bool) -> list[str]:
    """Count labels of no image and images without; raises `DatasetError` for both, which are most likely misnamed.

    Args:
        files: Label files that `compare_labels` found.
        leave_out: True if files that fit no image are known to be of none.
    """
    stray, without = files.stray, [Path(images.folders[at], images.names[at]) for at in files.without]
    total = len(images.names)
    notes = []
    if files.spelt:
        at, name = next(iter(files.spelt.items()))
        notes.append(
            f"{len(files.spelt)} label files were found under a name whose letters are composed otherwise, or "
            f"differ in case, for example {name} of {images.names[at]}"
        )
    if stray and without and not leave_out:
        example, image = next(_misnamed(stray, without), (stray[0], None))
        rename = f" {example.name} is most likely {image.stem}.txt; rename it." if image else ""
        raise DatasetError(
            f"yolo: {len(stray)} label files fit no image, and {len(without)} of {total} images have no label "
            f"file, which would make them images without an object: for example {example} and {without[0]}. "
            f"A label file has the name of its image with .txt in the place of the suffix.{rename} Files that belong "
            "to no image are left out by the data set's option unmatched_labels: leave_out."
        )
    if stray:
        notes.append(f"{len(stray)} label files fit no image and are left out, for example {stray[0]}")
    if without:
        notes.append(
            f"{len(without)} of {total} images have no label file and are read as images without an object, for "
            f"example {without[0]}"
        )
    return notes


def _misnamed(stray: Sequence[Path], without: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield label files with the images that they are most likely of: x.jpg.txt is that of x.jpg."""
    named = {name.casefold(): image for image in without for name in (image.name, image.stem)}
    for path in stray:
        if path.stem.casefold() in named:
            yield path, named[path.stem.casefold()]


class LabelRow(NamedTuple):
    """One line of a label file.

    Attributes:
        corners: x and y, shares of width and height, float64, (N, 2); those of a box are its four.
        is_box: True if the line holds a box for detection.
        where: File and number of the line.
    """

    class_id: int
    corners: NDArray[np.float64]
    is_box: bool
    where: str


def label_rows(file: Path, num_classes: int, origin: str) -> list[LabelRow]:
    """Read a label file, which need not be there; raises `DatasetError` for a line that is no polygon and no box.

    Args:
        num_classes: Classes are numbered from 0 to below this.
        origin: File that names them, for messages.
    """
    if not file.is_file():
        return []
    lines = enumerate(read_text(file).splitlines(), start=1)
    return [_row(line, num_classes, f"{file}:{number}", origin) for number, line in lines if line.strip()]


def _row(line: str, num_classes: int, where: str, origin: str) -> LabelRow:
    try:
        values = np.array([float(word := text) for text in line.split()])
    except ValueError:
        comma = " Numbers are written with a point and parted by spaces." if "," in word else ""
        raise DatasetError(
            f"{where} holds something that is no number: {word[:40]!r}. Expected: class x1 y1 x2 y2 x3 y3 ….{comma}"
        ) from None
    if len(values) < 5 or len(values) % 2 == 0:
        raise DatasetError(f"{where} has {len(values)} numbers. Expected: a class and three or more pairs x y.")
    class_id = int(values[0]) if np.isfinite(values[0]) else -1
    if class_id != values[0] or not 0 <= class_id < num_classes:
        raise DatasetError(
            f"{where} has labels outside the table: class {values[0]:g}; {origin} names 0 to {num_classes - 1}. "
            "Add its name, or fix the line.",
            kind="labels",
        )
    if not ((values[1:] >= -TOLERANCE) & (values[1:] <= 1 + TOLERANCE)).all():
        raise DatasetError(f"{where} has coordinates outside 0-1. They are shares of width and height, not pixels.")
    if len(values) > 5:
        return LabelRow(class_id, values[1:].reshape(-1, 2), False, where)
    (x, y), (width, height) = values[1:3], values[3:5]
    signs = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return LabelRow(class_id, np.array([x, y]) + signs * [width, height], True, where)
