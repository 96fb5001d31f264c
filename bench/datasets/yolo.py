"""Segmentation labels of YOLO: a text file of polygons for each image, and a data.yaml.

    root/data.yaml                    train, val, test: folder, list of folders, or .txt list of images;
                                      names: list, or number -> name; path: where the others start from
    root/images/train/a.jpg           the last folder `images` of the path becomes `labels`
    root/labels/train/a.txt           class x1 y1 x2 y2 … , 0-1 of width and height, one object a line

A missing or empty label file is an image without objects, as Ultralytics has it. Polygons become
masks by the rule of pycocotools (pixel centres, even-odd); Ultralytics paints their outlines too,
half a pixel wider. There are no crowds. The semantic form has the smaller object on top and is void
where no object is, or the class `background` if that option names one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets import Truth
from bench.datasets._documents import read_lines, read_yaml
from bench.datasets._files import image_size
from bench.datasets._on_disk import Description, Entry, OnDisk, files_under, id_of, missing, root_of
from bench.datasets._rasters import painted, polygon_mask, stacked
from bench.datasets._tables import MAX_CLASSES, named_classes
from bench.errors import DatasetError
from bench.predictions import SemanticMap
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind

SOURCE = "polygons in the format of YOLO"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
SPLITS = ("train", "val", "test")
TOLERANCE = 0.01
"""How far outside 0-1 a coordinate may lie; Ultralytics allows the same."""
OBTAIN = "Put your data.yaml there, with images/ and labels/ beside it."


class Options(Record):
    """What a suite may set.

    Attributes:
        root: Folder with the YAML.
        file: Its name.
        background: Name of a class for pixels in no object; makes the data set semantic as well.
    """

    root: str = "data/yolo"
    file: str = "data.yaml"
    background: str | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the YAML and lists nothing yet.

    Raises:
        DatasetError: If the YAML is not there, or has no names or no splits.
    """
    file = root_of(options.root) / options.file
    if not file.is_file():
        raise missing("yolo", file, "a YAML with names and train, val or test", OBTAIN)
    document = read_yaml(file)
    if not isinstance(document, dict):
        raise DatasetError(f"{file} must hold keys such as names, train and val.")
    names = _names(document.get("names"), file)
    splits = {s: document[s] if isinstance(document[s], list) else [document[s]] for s in SPLITS if document.get(s)}
    if not splits:
        raise DatasetError(f"{file} has none of the splits train, val and test. Add for example: train: images/train")
    base = _base(file, document.get("path"))
    classes = named_classes(names, things=names)
    if options.background is not None:
        classes += (ClassSpec(name=options.background, colour=(0, 0, 0)),)
    description = Description(
        name="yolo",
        classes=classes,
        tasks=("instance",) if options.background is None else TASKS,
        source=f"polygons in YOLO's format, {file.name} of {file.parent.name}",
        licence=LICENCE,
        splits=tuple(splits),
        decisive=options.background,
    )
    background = IGNORE_LABEL if options.background is None else len(names)
    return OnDisk(description, lambda split: _entries(base, splits[split]), partial(_truth, len(names), background))


def _names(names: Any, file: Path) -> list[str]:
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or len(set(map(str, names))) != len(names) or len(names) >= MAX_CLASSES:
        raise DatasetError(f"{file}: names must be a list of different names, or a table from 0, 1, … to names.")
    return [str(name) for name in names]


def _base(file: Path, path: Any) -> Path:
    """Folder that the splits start from; a path that is not there was written for another machine."""
    stated = file.parent / str(path or "")
    return stated if stated.is_dir() else file.parent


def _entries(base: Path, places: Sequence[Any]) -> list[Entry]:
    images: list[Path] = []
    for place in map(str, places):
        where = base / place
        if where.is_dir():
            images += files_under(where)
        elif where.suffix == ".txt" and where.is_file():
            images += [where.parent / line for line in read_lines(where)]
        else:
            raise missing("yolo", where, "a folder of images or a .txt list of them", OBTAIN)
    entries = []
    for image in images:
        parts = list(Path(os.path.normpath(image)).parts)
        if "images" not in parts[:-1]:
            raise DatasetError(f"yolo: {image} does not lie in a folder images, beside which labels are sought.")
        position = len(parts) - 1 - parts[::-1].index("images")
        label = Path(*parts[:position], "labels", *parts[position + 1 :]).with_suffix(".txt")
        folder, home = Path(*parts[:position]), Path(os.path.normpath(base))
        above = folder.relative_to(home).parts if folder.is_relative_to(home) else ()
        entries.append(Entry(id_of(Path(*above, *parts[position + 1 :])), image, (label,)))
    if not entries:
        raise missing("yolo", base / str(places[0]), "images", OBTAIN)
    if not any(entry.truths[0].is_file() for entry in entries):
        raise missing("yolo", entries[0].truths[0], f"labels of {len(entries)} images, of which none has any", OBTAIN)
    return entries


def _truth(num_classes: int, background: int, entry: Entry) -> Truth:
    size = image_size(entry.image)
    masks, class_ids = [], []
    label = entry.truths[0]
    for number, line in enumerate(label.read_text(encoding="utf-8").splitlines() if label.is_file() else (), start=1):
        if line.strip():
            class_id, points = _row(line, num_classes, f"{label}:{number}")
            masks.append(polygon_mask(points * (size.width, size.height), size))
            class_ids.append(class_id)
    instances = stacked(masks, class_ids, [False] * len(masks), size)
    return Truth(semantic=SemanticMap(painted(instances, background=background)), instances=instances)


def _row(line: str, num_classes: int, where: str) -> tuple[int, NDArray[np.float64]]:
    """Class and corners, (N, 2), of one line."""
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        raise DatasetError(f"{where} holds something that is no number. Expected: class x1 y1 x2 y2 x3 y3 …") from None
    if len(values) == 5:
        raise DatasetError(
            f"{where} has five numbers: a box for detection, not a polygon. Expected: class x1 y1 x2 y2 x3 y3 …"
        )
    if len(values) < 7 or len(values) % 2 == 0:
        raise DatasetError(f"{where} has {len(values)} numbers. Expected: a class and three or more pairs x y.")
    class_id = int(values[0])
    if class_id != values[0] or not 0 <= class_id < num_classes:
        raise DatasetError(
            f"{where} has labels outside the table: class {values[0]:g}; data.yaml names 0 to {num_classes - 1}. "
            "Add its name, or mend the line.",
            kind="labels",
        )
    if not ((values[1:] >= -TOLERANCE) & (values[1:] <= 1 + TOLERANCE)).all():
        raise DatasetError(f"{where} has coordinates outside 0-1. They are shares of width and height, not pixels.")
    return class_id, values[1:].reshape(-1, 2)
