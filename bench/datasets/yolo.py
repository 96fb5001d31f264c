"""Segmentation labels of YOLO: a text file of polygons for each image, and a data.yaml.

    root/data.yaml                    train, val, test: folder, list of folders, or .txt list of images;
                                      names: list, or number -> name; path: where the others start from
    root/images/train/a.jpg           the last folder `images` of the path becomes `labels`
    root/labels/train/a.txt           class x1 y1 x2 y2 … , 0-1 of width and height, one object a line
    root/masks/train/a.png            with `truth: masks`, class numbers, 255 = void; masks_dir in the YAML names
                                      another folder, label_mapping the classes of other values

Any data YAML of Ultralytics is read as it stands: `data: path/of/the.yaml`. A relative `path` in it is looked
for beside the YAML, in `root` and in the working folder; splits whose folder is nowhere there start at the
YAML. What it says under `download` is never run.

A missing or empty label file is an image without objects, as Ultralytics has it. Polygons become
masks by the rule of pycocotools (pixel centres, even-odd); Ultralytics paints their outlines too,
half a pixel wider. There are no crowds. The semantic form has the smaller object on top and is void
where no object is, or the class `background` if that option names one. Masks are of pixels alone; with one
name only, 0 is a class `background` and 1 that name, as Ultralytics has it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import read_text
from bench.data.formats.file_names import id_of
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import MAX_CLASSES, map_values, named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files, root_of
from bench.data.formats.polygons import polygon_masks
from bench.data.formats.rasters import painted, stacked
from bench.data.formats.yolo_labels import label_notes
from bench.data.formats.yolo_yaml import MASKS, DataYaml, read_data_yaml
from bench.data.formats.yolo_yaml import OBTAIN as OBTAIN
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, Record, TaskKind
from bench.records.predictions import SemanticMap

SOURCE = "labels in the format of YOLO"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
TOLERANCE = 0.01
"""This says how far outside 0-1 a coordinate may lie; Ultralytics allows the same."""


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with the YAML.
        file: Its name.
        data: A YAML elsewhere, in the place of these two.
        truth: Polygons or masks; None takes masks if the YAML has masks_dir.
        background: Name of a class for pixels in no object; makes polygons a semantic data set as well.
        unmatched_labels: What becomes of label files that fit no image: left out; None refuses them where
            there are images without a label file.
    """

    root: str = "data/yolo"
    file: str = "data.yaml"
    data: str | None = None
    truth: Literal["polygons", "masks"] | None = None
    background: str | None = None
    unmatched_labels: Literal["leave_out"] | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the YAML and lists nothing yet.

    Raises:
        DatasetError: If the YAML is not there, or has no names or no splits.
    """
    root = root_of(options.root)
    file = root / options.file if options.data is None else root_of(options.data)
    yaml = read_data_yaml(file, root)
    if options.truth == "masks" or (options.truth is None and yaml.masks is not None):
        return _open_masks(yaml, options)
    classes = named_classes(yaml.names, things=yaml.names)
    if options.background is not None:
        classes += (ClassSpec(name=options.background, colour=(0, 0, 0), is_background=True),)
    description = Description(
        name="yolo",
        classes=classes,
        tasks=("instance",) if options.background is None else TASKS,
        source=f"polygons in YOLO's format, {file.name} of {file.parent.name}",
        licence=LICENCE,
        splits=tuple(yaml.splits),
        decisive=options.background,
    )
    background = None if options.background is None else len(yaml.names)
    notes: dict[str, list[str]] = {}
    list_split = partial(_labelled, yaml, options.unmatched_labels, notes)
    return OnDisk(description, list_split, partial(_truth, yaml, background), lambda split: notes.get(split, ()))


def _open_masks(yaml: DataYaml, options: Options) -> OnDisk:
    if len(yaml.names) >= MAX_CLASSES:
        raise DatasetError(f"{yaml.file} names {len(yaml.names)} classes; masks of 8 bits hold {MAX_CLASSES - 1}.")
    names = yaml.names if len(yaml.names) > 1 else (options.background or "background", *yaml.names)
    class_of = yaml.class_of_value(len(names))
    description = Description(
        name="yolo",
        classes=named_classes(names),
        tasks=("semantic",),
        source=f"masks in Ultralytics' format, {yaml.file.name} of {yaml.file.parent.name}",
        licence=LICENCE,
        splits=tuple(yaml.splits),
        decisive=["masks", [[value, class_id] for value, class_id in class_of.items()]],
    )
    return OnDisk(description, partial(_masked, yaml), partial(_mask_truth, yaml, class_of))


def _labelled(
    yaml: DataYaml, unmatched: Literal["leave_out"] | None, notes: dict[str, list[str]], split: str
) -> list[Entry]:
    """Return images of a split with their text files, of which some may not be there."""
    entries = _entries(yaml, split, "labels", ".txt")
    if not any(entry.ground_truths[0].is_file() for entry in entries):
        labels = f"labels of {len(entries)} images, of which none has any"
        raise missing("yolo", entries[0].ground_truths[0], labels, yaml.obtain)
    require_files("yolo", [Entry(e.image_id, e.image) for e in entries], "an image", yaml.obtain)
    notes[split] = label_notes(entries, leave_out=unmatched is not None)
    return entries


def _masked(yaml: DataYaml, split: str) -> list[Entry]:
    """Return images of a split with their masks."""
    return require_files("yolo", _entries(yaml, split, yaml.masks or MASKS, ".png"), "a mask", yaml.obtain)


def _entries(yaml: DataYaml, split: str, folder_of_truths: str, suffix: str) -> list[Entry]:
    entries = []
    for image in yaml.images(split):
        parts = list(Path(os.path.normpath(image)).parts)
        if "images" not in parts[:-1]:
            entries.append(_beside(yaml, image, folder_of_truths, suffix))
            continue
        position = len(parts) - 1 - parts[::-1].index("images")
        truth = Path(*parts[:position], folder_of_truths, *parts[position + 1 :]).with_suffix(suffix)
        folder, home = Path(*parts[:position]), Path(os.path.normpath(yaml.base))
        above = folder.relative_to(home).parts if folder.is_relative_to(home) else ()
        entries.append(Entry(id_of(Path(*above, *parts[position + 1 :])), image, (truth,)))
    return entries


def _beside(yaml: DataYaml, image: Path, folder_of_truths: str, suffix: str) -> Entry:
    """Return an image in no folder called images: its label file lies beside it, as Ultralytics has it; a mask
    cannot.
    """
    if folder_of_truths != "labels":
        raise DatasetError(
            f"yolo: {image} does not lie in a folder images, beside which {folder_of_truths} are sought."
        )
    plain, home = Path(os.path.normpath(image)), Path(os.path.normpath(yaml.base))
    name = plain.relative_to(home) if plain.is_relative_to(home) else Path(plain.name)
    return Entry(id_of(name), image, (plain.with_suffix(suffix),))


def _mask_truth(yaml: DataYaml, class_of: Mapping[int, int], entry: Entry) -> GroundTruth:
    file = entry.ground_truths[0]
    mask = read_mask(file)
    if mask.pixels.ndim == 3:
        raise DatasetError(
            f"{file} holds colours; a mask of Ultralytics' holds numbers of classes. Write those.", kind="colours"
        )
    known = (
        f"{yaml.file.name} knows {', '.join(map(str, class_of))}. Add its name or its label_mapping, or fix the mask."
    )
    return GroundTruth(SemanticMap(map_values(mask.pixels, class_of, file=file, known=known)))


def _truth(yaml: DataYaml, background: int | None, entry: Entry) -> GroundTruth:
    size = entry.size
    polygons, class_ids = [], []
    label = entry.ground_truths[0]
    for number, line in enumerate(read_text(label).splitlines() if label.is_file() else (), start=1):
        if line.strip():
            class_id, points = _row(line, len(yaml.names), f"{label}:{number}", yaml.file.name)
            polygons.append([points * (size.width, size.height)])
            class_ids.append(class_id)
    instances = stacked(polygon_masks(polygons, size), class_ids, [False] * len(class_ids), size)
    labels = painted(instances, background=background, num_classes=len(yaml.names) + (background is not None))
    return GroundTruth(semantic=SemanticMap(labels), instances=instances)


def _row(line: str, num_classes: int, where: str, origin: str) -> tuple[int, NDArray[np.float64]]:
    """Return the class and corners, (N, 2), of one line."""
    try:
        values = np.array([float(word) for word in line.split()])
    except ValueError:
        raise DatasetError(f"{where} holds something that is no number. Expected: class x1 y1 x2 y2 x3 y3 …") from None
    if len(values) == 5:
        raise DatasetError(
            f"{where} has five numbers: a box for detection, not a polygon. Expected: class x1 y1 x2 y2 x3 y3 … "
            "Draw its outline, or remove the line: no mask can be made of a box."
        )
    if len(values) < 7 or len(values) % 2 == 0:
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
    return class_id, values[1:].reshape(-1, 2)
