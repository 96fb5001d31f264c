"""Cityscapes, the fine annotations: street scenes with semantic, instance and panoptic ground truth.

    root/leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    root/gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png, …_gtFine_instanceIds.png
    or, semantic alone:          …_gtFine_labelTrainIds.png, as createTrainIdLabelImgs.py makes them

Label spaces, by the option `labels`:
    train_ids               the 19 classes of the benchmark; all else is void
    ids                     all 34 labels from `unlabeled` to `bicycle`; nothing is void
    categories              the 8 categories; `void` is a class (0)
    categories_without_void the 7 others; what belongs to `void` is void

In instanceIds.png a value of 1000 or more is `label * 1000 + number`, an object. A smaller value is
a label: of stuff, or, where the label has objects, of a group that was not taken apart: a crowd.
Objects of `caravan` and `trailer` count only in the label spaces that have them. Panoptic segments
follow `createPanopticImgs.py` of cityscapesScripts: segment id = value in instanceIds.png; where a
label space merges labels of stuff, they are one segment with the smallest of the values.

Sets that were reduced to train ids have no other files; they are read with `labels: train_ids` (255, and -1 of
`license plate` stored as 255, are void) and say so. Files that are not read on purpose, among them colours and
polygons, are no leftovers.

Expected: 2,975 train, 500 val, 1,525 test. The ground truth of test is not public: its files hold void.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.file_names import files_under
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import map_values, read_table, rgb_of, value_reader
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_folder, root_of
from bench.data.formats.rasters import instances_from_panoptic
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind
from bench.records.predictions import Panoptic, Segment, SemanticMap

SOURCE = "Cityscapes, fine annotations (Cordts et al., CVPR 2016), https://www.cityscapes-dataset.com"
LICENCE = "registration; non-commercial research and teaching; no redistribution"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance", "panoptic")
EXPECTED = {"train": 2975, "val": 500, "test": 1525}
SPLITS = tuple(EXPECTED)
KINDS = ("color.png", "polygons.json", "labelIds.png", "instanceIds.png", "labelTrainIds.png")
COMPANIONS = tuple(f"*_gtFine_{kind}" for kind in KINDS)
IMAGE_ENDING, LABELS_ENDING = "_leftImg8bit.png", "_gtFine_{}.png"
PER_LABEL = 1000
UNLABELED_SEGMENT = 999
"""Segment id of label 0 where it is a class: 0 is void in a panoptic map, and no label is 999."""
OBTAIN = (
    "Register at https://www.cityscapes-dataset.com and fetch leftImg8bit_trainvaltest.zip and "
    "gtFine_trainvaltest.zip, for example with csDownload from the package cityscapesscripts; unpack both into "
    "one folder."
)
CONVERTED = (
    " where labels are expected; it was probably converted, or is the _color.png under another name. Restore it from "
    "gtFine_trainvaltest.zip."
)
LabelSpace = Literal["train_ids", "ids", "categories", "categories_without_void"]


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with leftImg8bit and gtFine.
        labels: Label space, see the module's docstring.
    """

    root: str = "data/cityscapes"
    labels: LabelSpace = "train_ids"


@dataclass(frozen=True)
class Labels:
    """A label space: its classes, and class id or void of every one of the 34 labels."""

    classes: tuple[ClassSpec, ...]
    class_of: Mapping[int, int]
    has_instances: frozenset[int]


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if leftImg8bit or gtFine is not there."""
    root = root_of(options.root)
    images = require_folder("cityscapes", root / "leftImg8bit", "leftImg8bit/<split>/<city>/*.png", OBTAIN)
    require_folder("cityscapes", root / "gtFine", "gtFine/<split>/<city>/*_gtFine_labelIds.png", OBTAIN)
    splits = tuple(split for split in SPLITS if (images / split).is_dir())
    if not splits:
        raise missing("cityscapes", images / "train", "leftImg8bit/{train,val,test}", OBTAIN)
    labels = label_space(options.labels)
    train_ids_alone = _has_train_ids_alone(root, options)
    description = Description(
        "cityscapes", labels.classes, TASKS, SOURCE, LICENCE, splits, decisive=options.labels, companions=COMPANIONS
    )
    if not train_ids_alone:
        return OnDisk(description, partial(_entries, root, ("labelIds", "instanceIds")), partial(_ground_truth, labels))
    description = replace(
        description,
        tasks=("semantic",),
        decisive=[options.labels, "train ids"],
        inferred=("ground truth is read from _labelTrainIds.png: there are no instances",),
    )
    known = "Train ids are 0 to 18, and 255 for void. Make them again with createTrainIdLabelImgs.py."
    class_of = {**{number: number for number in range(19)}, IGNORE_LABEL: IGNORE_LABEL}
    ground_truth = value_reader(class_of, known=known, instead=CONVERTED)
    return OnDisk(description, partial(_entries, root, ("labelTrainIds",)), ground_truth)


def _has_train_ids_alone(root: Path, options: Options) -> bool:
    """Return whether the first image has only train ids; raises `DatasetError` if another label space is asked for."""
    found = next((root / "gtFine").rglob(f"*{LABELS_ENDING.format('labelTrainIds')}"), None)
    if found is None or next((root / "gtFine").rglob(f"*{LABELS_ENDING.format('labelIds')}"), None) is not None:
        return False
    if options.labels != "train_ids":
        raise DatasetError(
            f"cityscapes: {root / 'gtFine'} holds train ids alone, from which labels: {options.labels} cannot be had. "
            f"Fetch {LABELS_ENDING.format('labelIds')}, or take labels: train_ids."
        )
    return True


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:
    """Return the label space; no file decides it."""
    return label_space(options.labels).classes


def label_space(name: LabelSpace) -> Labels:
    """Classes of a label space and the way there from the 34 labels."""
    rows = read_table("cityscapes")
    if name in ("train_ids", "ids"):
        kept = [row for row in rows if name == "ids" or row["train_id"] != str(IGNORE_LABEL)]
        kept.sort(key=lambda row: int(row["id" if name == "ids" else "train_id"]))
        key = "name"
    else:
        first = {row["category"]: row for row in reversed(rows)}
        kept = sorted(first.values(), key=lambda row: int(row["category_id"]))[name == "categories_without_void" :]
        key = "category"
    names = [row[key] for row in kept]
    of_thing = {row[key] for row in rows if row["has_instances"] == "1"}
    classes = tuple(
        ClassSpec(
            name=row[key],
            is_thing=row[key] in of_thing,
            colour=(0, 0, 0) if key == "category" and row["category"] == "void" else rgb_of(row),
            category=row["category"] if key == "name" else None,
        )
        for row in kept
    )
    class_of = {int(row["id"]): names.index(row[key]) if row[key] in names else IGNORE_LABEL for row in rows}
    return Labels(classes, class_of, frozenset(int(row["id"]) for row in rows if row["has_instances"] == "1"))


def _entries(root: Path, kinds: Sequence[str], split: str) -> list[Entry]:
    folder = root / "leftImg8bit" / split
    files = [path for path in files_under(folder, (".png",)) if path.name.endswith(IMAGE_ENDING)]
    if not files:
        raise missing("cityscapes", folder, f"<city>/*{IMAGE_ENDING}", OBTAIN)
    entries = []
    for path in files:
        stem = path.name.removesuffix(IMAGE_ENDING)
        city = root / "gtFine" / split / path.parent.relative_to(folder)
        ground_truths = tuple(city / (stem + LABELS_ENDING.format(kind)) for kind in kinds)
        drive = "_".join(stem.split("_")[:2])  # city and sequence, of which further frames follow
        entries.append(Entry(stem, path, ground_truths, group=drive))
    absent = [path for entry in entries for path in entry.ground_truths if not path.is_file()]
    if absent:
        told = f"{' and '.join(kinds)} for each of the {len(files)} images of {split}; {len(absent)} files are missing"
        raise missing("cityscapes", absent[0], told, OBTAIN)
    return entries


def _ground_truth(labels: Labels, entry: Entry) -> GroundTruth:
    semantic, values = (read_mask(path).values(path, CONVERTED) for path in entry.ground_truths)
    known = f"Cityscapes has the labels 0 to {max(labels.class_of)}. Restore the file from gtFine_trainvaltest.zip."
    panoptic = _segments(values, labels, entry.ground_truths[1], known)
    instances = instances_from_panoptic(panoptic, labels.classes).changed(void=panoptic.segment_ids == 0)
    semantic_map = SemanticMap(map_values(semantic, labels.class_of, file=entry.ground_truths[0], known=known))
    return GroundTruth(semantic_map, instances, panoptic)


def _segments(values: NDArray[Any], labels: Labels, file: Path, known: str) -> Panoptic:
    found, position = np.unique(values, return_inverse=True)
    label_of = np.where(found >= PER_LABEL, found // PER_LABEL, found)
    class_of = map_values(label_of, labels.class_of, file=file, known=known)
    segment_of = np.zeros(len(found), dtype=np.int32)
    segments: dict[tuple[object, ...], Segment] = {}
    rows = zip(found.tolist(), label_of.tolist(), class_of.tolist(), strict=True)
    for index, (value, label, class_id) in enumerate(rows):
        if class_id == IGNORE_LABEL:
            continue
        crowd = label in labels.has_instances and value < PER_LABEL
        key = (class_id, value) if value >= PER_LABEL else (class_id, crowd)
        segment = segments.setdefault(key, Segment(value or UNLABELED_SEGMENT, class_id, crowd))
        segment_of[index] = segment.id
    return Panoptic(segment_of[position].reshape(values.shape), tuple(segments.values()))
