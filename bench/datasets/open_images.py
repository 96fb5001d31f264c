"""Open Images, segmentation masks (V5 and later): objects of 350 classes, a PNG each, not looked for everywhere.

    root/<split>/<ImageID>.jpg
    root/<split>-annotations-object-segmentation.csv       MaskPath, ImageID, LabelName, …
    root/<split>-masks/<MaskPath>                           or in sub-folders of it, or root/masks
    root/class-descriptions-boxable.csv                     LabelName, DisplayName
    root/<split>-annotations-human-imagelabels.csv          optional: ImageID, Source, LabelName, Confidence

A mask has a size of its own and is brought to that of its image by nearest neighbours. Images were looked through for
the classes that people verified (Confidence 1 is there, 0 is not) and for those that have a mask; detections of other
classes, and of classes that are there without a mask, count neither as right nor as wrong, as in LVIS. Without the
image labels every class that has no mask in an image is such a class. Images that are not on disk are left out and
counted, because most people fetch a part.

Splits are train, validation and test, those that have annotations. Expected: 944,037, 13,524 and 40,386 images.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.file_names import files_under
from bench.data.formats.home import lies_there
from bench.data.formats.image_files import read_mask
from bench.data.formats.image_headers import image_size
from bench.data.formats.label_tables import named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_file, require_folder, root_of
from bench.data.formats.rasters import painted, stacked
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean, in_one_line
from bench.records import ClassSpec, Record, Size, TaskKind
from bench.records.predictions import SemanticMap

SOURCE = "Open Images, object segmentations (Benenson et al., CVPR 2019), https://storage.googleapis.com/openimages"
LICENCE = "annotations CC BY 4.0; images CC BY 2.0, by their authors"
TASKS: tuple[TaskKind, ...] = ("instance",)
SPLITS = ("train", "validation", "test")
MASKS_CSV, LABELS_CSV = "{}-annotations-object-segmentation.csv", "{}-annotations-human-imagelabels.csv"
NAMES_CSV = "class-descriptions-boxable.csv"
OBTAIN = (
    "Fetch the CSV files and masks from https://storage.googleapis.com/openimages/web/download_v7.html and the images "
    "you want, and put them there."
)


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with the CSV files.
        classes: Display names of the classes in use, in this order; None takes all that have masks.
    """

    root: str = "data/open_images"
    classes: tuple[str, ...] | None = None


@dataclass
class _Split:
    """Hold what the CSV files say of a split.

    Attributes:
        objects: ImageID -> label and mask of each object.
        verified: ImageID -> label -> whether people found it there.
    """

    objects: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    verified: dict[str, dict[str, bool]] = field(default_factory=dict)


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the CSV files; raises `DatasetError` if files are missing, or a class has no masks."""
    root = require_folder("open_images", root_of(options.root), MASKS_CSV.format("<split>"), OBTAIN)
    names = {row[0]: row[1] for row in _rows(root / NAMES_CSV, 2) if row[0] != "LabelName"}
    splits = {split: _read(root, split) for split in SPLITS if lies_there(root / MASKS_CSV.format(split))}
    if not splits:
        raise missing("open_images", root / MASKS_CSV.format("train"), MASKS_CSV.format("<split>"), OBTAIN)
    used = {label for split in splits.values() for rows in split.objects.values() for label, _ in rows}
    known = {names.get(label, label): label for label in sorted(used, key=lambda one: names.get(one, one))}
    for name in options.classes or ():
        if name not in known:
            raise DatasetError(f"open_images: no class named {name!r} has masks.{did_you_mean(name, known)}")
    chosen = options.classes or tuple(known)
    classes = named_classes(chosen, things=chosen, background=None)
    reader = _Reader(root, splits, {known[name]: index for index, name in enumerate(chosen)}, classes)
    description = Description("open_images", classes, TASKS, SOURCE, LICENCE, tuple(splits))
    return OnDisk(description, reader.entries, reader.ground_truth, reader.notes)


def _rows(file: Path, columns: int) -> Iterator[list[str]]:
    require_file("open_images", file, file.name, OBTAIN)
    number = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), start=1):
                if len(row) < columns:
                    told = f"{file}: line {number} has {len(row)} columns, {columns} are expected. Fetch it again."
                    raise DatasetError(told)
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = in_one_line(error)
        raise DatasetError(f"{file} cannot be read after line {number}: {reason}. Fetch it again.") from None


def _read(root: Path, split: str) -> _Split:
    found = _Split()
    file = root / MASKS_CSV.format(split)
    header = next(_rows(file, 3), [])
    try:
        mask, image, label = (header.index(name) for name in ("MaskPath", "ImageID", "LabelName"))
    except ValueError:
        raise DatasetError(f"{file} has no columns MaskPath, ImageID and LabelName. Fetch it again.") from None
    for row in islice(_rows(file, 1 + max(mask, image, label)), 1, None):
        found.objects.setdefault(row[image], []).append((row[label], row[mask]))
    labels = root / LABELS_CSV.format(split)
    if labels.is_file():
        for row in islice(_rows(labels, 4), 1, None):
            if row[0] in found.objects:
                found.verified.setdefault(row[0], {})[row[2]] = _is_there(row, labels)
    return found


def _is_there(row: list[str], file: Path) -> bool:
    """Return whether people found a class in an image: its confidence is 1, and not 0."""
    confidence = row[3].strip()
    if confidence not in ("0", "0.0", "1", "1.0"):
        raise DatasetError(
            f"{file}: image {row[0]}, {row[2]}: Confidence is {confidence[:40]!r}, where people say 1 or 0. "
            "Fetch it again."
        )
    return confidence in ("1", "1.0")


class _Reader:
    def __init__(
        self, root: Path, splits: Mapping[str, _Split], class_of: Mapping[str, int], classes: tuple[ClassSpec, ...]
    ) -> None:
        self._root, self._splits, self._class_of, self._classes = root, splits, class_of, classes
        self._notes: dict[str, list[str]] = {}

    def notes(self, split: str) -> list[str]:
        """Return what was left out, once the split is listed."""
        return self._notes.get(split, [])

    def entries(self, split: str) -> list[Entry]:
        """Return images on disk that have objects, by their ids."""
        table, root = self._splits[split], self._root
        images = {path.stem: path for path in files_under(root / split)} if (root / split).is_dir() else {}
        folders = [folder for folder in (root / f"{split}-masks", root / "masks") if folder.is_dir()]
        masks = {path.name: path for folder in folders for path in files_under(folder, (".png",))}
        there = [image_id for image_id in sorted(table.objects) if image_id in images]
        if not there:
            raise missing("open_images", root / split, f"images of {MASKS_CSV.format(split)}", OBTAIN)
        entries = []
        for image_id in there:
            wanted = [name for label, name in table.objects[image_id] if label in self._class_of]
            absent = [name for name in wanted if name not in masks]
            if absent:
                raise missing("open_images", root / f"{split}-masks" / absent[0], "a PNG for each object", OBTAIN)
            entries.append(Entry(image_id, images[image_id], tuple(masks[name] for name in wanted), key=split))
        lost, file = len(table.objects) - len(there), LABELS_CSV.format(split)
        notes = [f"{split}: {lost} of {len(table.objects)} images are not on disk and left out"] if lost else []
        if not table.verified:
            notes += [f"{split}: without {file} detections of classes that an image has no mask of are not judged"]
        self._notes[split] = notes
        return entries

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return objects of an image, and the map painted from them, void elsewhere."""
        table, size = self._splits[entry.key], image_size(entry.image)
        rows = [row for row in table.objects[entry.image_id] if row[0] in self._class_of]
        masks = [_at(path, size) for path in entry.ground_truths]
        class_ids = [self._class_of[label] for label, _ in rows]
        verified = table.verified.get(entry.image_id, {})
        absent = {self._class_of[label] for label, there in verified.items() if not there and label in self._class_of}
        unchecked = set(range(len(self._classes))) - set(class_ids) - absent
        instances = stacked(masks, class_ids, [False] * len(masks), size)
        instances = instances.changed(unchecked=tuple(sorted(unchecked)))
        return GroundTruth(SemanticMap(painted(instances, background=None, num_classes=len(self._classes))), instances)


def _at(file: Path, size: Size) -> NDArray[np.bool_]:
    """Return a mask at the size of its image, bool."""
    pixels = read_mask(file).pixels
    mask = (pixels.max(axis=2) if pixels.ndim == 3 else pixels) > 0
    if Size(*mask.shape) == size:
        return np.asarray(mask)
    resized = cv2.resize(mask.astype(np.uint8), (size.width, size.height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.bool_)
