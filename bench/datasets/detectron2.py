"""Detectron2's own ways to name data: a file of dataset dicts, or a config with names of data sets.

    root/train.json, root/val.json, root/test.json      a list of dataset dicts, for each split that there is
    root/metadata.json                                  what MetadataCatalog would hold; YAML will do

A dict has `file_name` and, by the option `truth`,

    instances   annotations: category_id from 0 in the order of thing_classes; segmentation as polygons or
                run lengths, as in COCO; iscrowd
    semantic    sem_seg_file_name: map of values from 0 in the order of stuff_classes
    panoptic    pan_seg_file_name: PNG of ids, R + 256 G + 65536 B; segments_info: id, category_id, iscrowd,
                isthing, which says whether category_id counts thing_classes or stuff_classes

Paths start at `root`. A list of dicts is written by `json.dump(DatasetCatalog.get(name), file)`; numbers of
NumPy and run lengths in bytes must be made numbers and text first. Boxes are not used: an object without a
segmentation is refused.

metadata.json holds thing_classes, stuff_classes, ignore_label (255 unless given), thing_colors and
stuff_colors. Where both lists of classes are the same, as Detectron2 has it for panoptic models, they are one
label space, and the values of thing_dataset_id_to_contiguous_id are the ids of things.

With `config` the names under DATASETS.TRAIN and DATASETS.TEST are used. Those that Detectron2 registers itself
are read from $DETECTRON2_DATASETS (or the option `datasets`) by the data sets coco, cityscapes and ade20k,
and have the splits of these; others are splits of their own, `<name>.json`. No code is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.formats.by_name import open_dataset as open_by_name
from bench.data.formats.coco_classes import background_spec
from bench.data.formats.coco_ground_truth import doubts_of
from bench.data.formats.coco_rows import name_bytes
from bench.data.formats.detectron2_config import KNOWN, builtin, config_names, one_dataset
from bench.data.formats.documents import read_yaml
from bench.data.formats.doubts import Doubt
from bench.data.formats.file_names import id_of
from bench.data.formats.home import lies_there
from bench.data.formats.index_cache import Tables, column_of, remembered
from bench.data.formats.json_stream import FileState, JsonStream
from bench.data.formats.label_tables import MAX_CLASSES, ground_truth_of_values, palette_colour
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_file, root_of
from bench.data.formats.rasters import SegmentationError, painted, read_segment_map, segmentation_masks, stacked
from bench.data.formats.typed import DETECTRON2, DETECTRON2_METADATA, as_typed
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size, TaskKind
from bench.records.predictions import Segment, SemanticMap

TASKS: tuple[TaskKind, ...] = ("semantic", "instance", "panoptic")
SOURCE = "dataset dicts of Detectron2, https://detectron2.readthedocs.io"
LICENCE = "your own, or that of the data set named"
KIND = "detectron2_1"
"""Raise the number when the tables change."""
XYWH_ABS = 1
"""Detectron2's number of the form of boxes that COCO has."""
OBTAIN = "Write the list of dicts of each split there, and metadata.json beside them."
GroundTruthKind = Literal["instances", "semantic", "panoptic"]
TASKS_OF: dict[GroundTruthKind, tuple[TaskKind, ...]]
TASKS_OF = {"instances": ("instance",), "semantic": ("semantic",), "panoptic": TASKS}
FIELD_OF: dict[GroundTruthKind, str] = {
    "panoptic": "pan_seg_file_name",
    "instances": "annotations",
    "semantic": "sem_seg_file_name",
}
"""This is what a dict must have; where no ground truth is asked for, the first that the first dict has."""


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder that all paths start from.
        dicts: File of the dicts of a split.
        metadata: File of the metadata.
        splits: Names to look for.
        truth: Kind of ground truth; None takes the first of panoptic, instances and semantic that the dicts have.
        background: Name of a class for pixels in no object, with `instances`; makes the data set semantic as well.
        config: A Detectron2 config to take the data sets from.
        datasets: Folder of the data sets that Detectron2 registers itself; None for $DETECTRON2_DATASETS.
    """

    root: str = "data/detectron2"
    dicts: str = "{split}.json"
    metadata: str = "metadata.json"
    splits: tuple[str, ...] = ("train", "val", "test")
    truth: GroundTruthKind | None = None
    background: str | None = None
    config: str | None = None
    datasets: str | None = None


def open_dataset(options: Options) -> Dataset:
    """Return the data set; indexes the dicts of one split; raises `DatasetError` for files or names it cannot read."""
    if options.config is None:
        return _open_dicts(options, options.splits)
    file = root_of(options.config)
    names = config_names(file)
    datasets = options.datasets or os.environ.get("DETECTRON2_DATASETS", "datasets")
    found = [builtin(name, datasets) for name in names]
    known = [one for one in found if one is not None]
    if len(known) == len(names):
        return open_by_name(*one_dataset(known, names, file))
    if all(lies_there(_place(options, name)) for name in names):
        return _open_dicts(options, names)
    other = next(name for name, one in zip(names, found, strict=True) if one is None)
    raise DatasetError(
        f"{file} names the data set {other!r}, which code registers that is not run here. Write its dicts as JSON to "
        f"{_place(options, other).absolute()}, or name one of those that Detectron2 registers itself and this reads: "
        f"{KNOWN}."
    )


def _place(options: Options, split: str) -> Path:
    return root_of(options.root) / options.dicts.replace("{split}", split)


def _open_dicts(options: Options, splits: Sequence[str]) -> OnDisk:
    files = {split: _place(options, split) for split in splits if lies_there(_place(options, split))}
    if not files:
        expected = f"a list of dataset dicts for a split of {', '.join(splits)}"
        raise missing("detectron2", _place(options, splits[0]), expected, OBTAIN)
    ground_truth = options.truth or _first_ground_truth(next(iter(files.values())))
    metadata = _metadata(root_of(options.root) / options.metadata, ground_truth, options.background)
    reader = _Reader(root_of(options.root), files, ground_truth, metadata)
    with_background = ground_truth == "instances" and options.background is not None
    tasks = TASKS[:2] if with_background else TASKS_OF[ground_truth]
    decisive: list[JsonValue] = [ground_truth, options.background, metadata.ignored, metadata.joint]
    description = Description("detectron2", metadata.classes, tasks, SOURCE, LICENCE, tuple(files), decisive)
    read = {"instances": reader.instances, "semantic": reader.semantic, "panoptic": reader.panoptic}
    doubts = reader.doubts if ground_truth == "instances" else None
    return OnDisk(description, reader.entries, read[ground_truth], doubts=doubts)


@dataclass(frozen=True)
class Metadata:
    """The label space.

    Attributes:
        classes: Classes in order; in a panoptic label space of two lists, things come first.
        things: Number of thing_classes.
        joint: True if the lists of things and stuff are one.
        ignored: Value of pixels that are not scored.
        background: Class id of pixels in no object, or `IGNORE_LABEL`.
    """

    file: Path
    classes: tuple[ClassSpec, ...]
    things: int
    joint: bool
    ignored: int
    background: int


def _metadata(file: Path, ground_truth: GroundTruthKind, background: str | None) -> Metadata:
    expected = "metadata with thing_classes or stuff_classes"
    document = read_yaml(require_file("detectron2", file, expected, OBTAIN))  # of which JSON is a part
    lists = document if isinstance(document, dict) else {}
    typed = as_typed(DETECTRON2_METADATA, lists, str(file), "Fix the metadata.")
    things, stuff = (_names(lists, key, file) for key in ("thing_classes", "stuff_classes"))
    joint = bool(things) and things == stuff
    names = {"instances": things, "semantic": stuff, "panoptic": things if joint else [*things, *stuff]}[ground_truth]
    if not names or len(set(names)) != len(names) or len(names) >= MAX_CLASSES:
        lists_of = {"instances": "thing_classes", "semantic": "stuff_classes"}
        needed = lists_of.get(ground_truth, "thing_classes, stuff_classes")
        raise DatasetError(
            f"{file}: {ground_truth} dicts need a list of different names in {needed}, fewer than {MAX_CLASSES}."
        )
    thing_ids = set(range(len(things)) if ground_truth != "semantic" else ())
    if joint:
        table = typed.get("thing_dataset_id_to_contiguous_id")
        if table is None:
            raise DatasetError(
                f"{file}: thing_classes and stuff_classes are one list, so that thing_dataset_id_to_contiguous_id must "
                "tell which of them are things. Add it."
            )
        thing_ids = set(table.values())
    colours = [*(typed.get("thing_colors") or ()), *(() if joint else typed.get("stuff_colors") or ())]
    if ground_truth == "semantic":
        colours = list(typed.get("stuff_colors") or ())
    shown = colours if len(colours) >= len(names) else [palette_colour(index + 1) for index in range(len(names))]
    classes = tuple(ClassSpec(name=name, is_thing=n in thing_ids, colour=shown[n]) for n, name in enumerate(names))
    ignored, background_id = typed.get("ignore_label", IGNORE_LABEL), IGNORE_LABEL
    if ground_truth == "instances" and background is not None:
        classes, background_id = (*classes, background_spec(background)), len(names)
    return Metadata(file, classes, len(things), joint, ignored, background_id)


def _names(document: Mapping[str, Any], key: str, file: Path) -> list[str]:
    names = document.get(key) or []
    if not isinstance(names, list):
        raise DatasetError(f"{file}: {key} must be a list of names.")
    return [str(name) for name in names]


def _first_ground_truth(file: Path) -> GroundTruthKind:
    with JsonStream(file) as stream:
        first = next(stream.elements(), None) if stream.peek() == "[" else None
    row = first.value if first is not None and isinstance(first.value, dict) else {}
    return next((ground_truth for ground_truth, name in FIELD_OF.items() if row.get(name) is not None), "instances")


class _Reader:
    """The dicts of all splits, each file indexed when first needed."""

    def __init__(
        self, root: Path, files: Mapping[str, Path], ground_truth: GroundTruthKind, metadata: Metadata
    ) -> None:
        self._root, self._files, self._ground_truth, self._metadata = root, files, ground_truth, metadata
        self._index = lru_cache(maxsize=None)(_index)

    def entries(self, split: str) -> list[Entry]:
        """Return images of a split, in the order of the file."""
        file = self._files[split]
        tables = self._index(file)[1]
        entries = []
        for row, name in enumerate(tables["names"].tolist()):
            image = self._root / name.decode()
            ground_truths: tuple[Path, ...] = (file,)
            if self._ground_truth != "instances":
                map_name = tables[self._ground_truth][row].decode()
                if not map_name:
                    raise DatasetError(
                        f"{file}: dict {row} has no {FIELD_OF[self._ground_truth]}, which {self._ground_truth} ground "
                        "truth needs. Add it, or ask for another ground truth."
                    )
                ground_truths += (self._root / map_name,)
            below = image.relative_to(self._root) if image.is_relative_to(self._root) else PurePath(image.name)
            entries.append(Entry(id_of(below), image, ground_truths, str(row)))
        if not entries:
            raise DatasetError(f"{file} has no dataset dict. Write those of the split to it.")
        require_file("detectron2", entries[0].image, f"the {len(entries)} images that {file.name} names", OBTAIN)
        return entries

    def instances(self, entry: Entry) -> GroundTruth:
        """Return objects, and the map painted from them."""
        record, where = self._record(entry)
        size = _size(record, entry)
        rows = record.get("annotations") or []
        class_ids = [self._class_id(row, where, things=True) for row in rows]
        try:
            masks = segmentation_masks([row.get("segmentation") for row in rows], size)
        except SegmentationError as error:
            raise DatasetError(
                f"{where}: annotation {error.position + 1} cannot be drawn: {error}. Fix or remove it.", kind="mask"
            ) from None
        instances = stacked(masks, class_ids, [bool(row.get("iscrowd", 0)) for row in rows], size)
        return GroundTruth(SemanticMap(painted(instances, background=self._metadata.background)), instances)

    def doubts(self, entry: Entry) -> list[Doubt]:
        """Return where annotations disagree with themselves, or reach beyond their image."""
        record, _ = self._record(entry)
        size = _size(record, entry)
        # Boxes are compared where they are x, y, width, height, as COCO's.
        rows = [
            {name: value for name, value in row.items() if name != "bbox" or row.get("bbox_mode") == XYWH_ABS}
            for row in record.get("annotations") or []
        ]
        masks = segmentation_masks([row.get("segmentation") for row in rows], size)
        advice = ". Write them again with pycocotools.mask.encode"
        return doubts_of(rows, masks, size, entry.image.name, order_advice=advice)

    def semantic(self, entry: Entry) -> GroundTruth:
        instead = "; a map of classes holds their numbers. Write those."
        count = len(self._metadata.classes)
        class_of = {**{index: index for index in range(count)}, self._metadata.ignored: IGNORE_LABEL}
        known = (
            f"{self._metadata.file.name} has stuff_classes 0 to {count - 1} and ignore_label {self._metadata.ignored}. "
            "Fix the map, or the metadata."
        )
        return ground_truth_of_values(entry.ground_truths[1], class_of, known=known, instead=instead)

    def panoptic(self, entry: Entry) -> GroundTruth:
        """Return segments of the PNG, and the two other forms that follow from them."""
        record, where = self._record(entry)
        rows = record.get("segments_info")
        if not isinstance(rows, list):
            raise DatasetError(f"{where} has no segments_info, which panoptic ground truth need. Add it.")
        found = read_segment_map(entry.ground_truths[1])
        if any("id" not in row for row in rows):
            raise DatasetError(f"{where}: a segment has no id. Add it.")
        found.require([int(row["id"]) for row in rows], entry.ground_truths[0])
        segments = []
        for row in rows:
            if not self._metadata.joint and not isinstance(row.get("isthing"), bool | int):
                raise DatasetError(
                    f"{where}: segment {row['id']} has no isthing, so that its category_id may count thing_classes or "
                    "stuff_classes. Add it."
                )
            class_id = self._class_id(row, where, things=bool(row.get("isthing", True)))
            segments.append(Segment(int(row["id"]), class_id, bool(row.get("iscrowd", 0))))
        return found.ground_truth(segments, self._metadata.classes)

    def _class_id(self, row: Mapping[str, Any], where: str, *, things: bool) -> int:
        metadata = self._metadata
        total = len(metadata.classes) - (metadata.background != IGNORE_LABEL)
        name, first, count = "thing_classes", 0, metadata.things
        if not metadata.joint and not things:
            name, first, count = "stuff_classes", metadata.things, total - metadata.things
        category = row.get("category_id")
        if not isinstance(category, int) or not 0 <= category < count:
            raise DatasetError(
                f"{where}: category_id {category} is outside the table; {metadata.file.name} has {name} 0 to "
                f"{count - 1}. Dataset dicts count classes from 0, unlike COCO's own files. Fix the dict, or the "
                "metadata.",
                kind="labels",
            )
        return first + category

    def _record(self, entry: Entry) -> tuple[dict[str, Any], str]:
        """Return the dict of an image, and what to call it in messages."""
        file = entry.ground_truths[0]
        state, tables = self._index(file)
        part = slice(int(entry.key), int(entry.key) + 1)
        record: dict[str, Any] = state.rows(tables["offset"][part], tables["length"][part])[0]
        where = f"{file}: image {record['file_name']}"
        as_typed(DETECTRON2, record, where, "Fix the dict.")
        return record, where


def _size(record: Mapping[str, Any], entry: Entry) -> Size:
    height, width = record.get("height"), record.get("width")
    return Size(int(height), int(width)) if height and width else entry.size


def _index(file: Path) -> tuple[FileState, Tables]:
    """Return where each dict lies in a file, and the paths that it names."""
    state = FileState.of(file)
    return state, remembered(state, KIND, lambda: _read(state))


def _read(state: FileState) -> Tables:
    texts: dict[str, list[bytes]] = {"names": [], "semantic": [], "panoptic": []}
    places: list[tuple[int, int]] = []
    with JsonStream(state.file) as stream:
        if stream.peek() != "[":
            raise DatasetError(
                f"{state.file} holds no list of dataset dicts. A file of COCO's is read by the data set coco; "
                "otherwise write json.dump(DatasetCatalog.get(name), file)."
            )
        for number, placed in enumerate(stream.elements()):
            row = placed.value
            if not isinstance(row, dict) or not row.get("file_name"):
                raise DatasetError(f"{state.file}: dict {number} has no file_name. Every dataset dict needs it.")
            for column, name in zip(texts, ("file_name", FIELD_OF["semantic"], FIELD_OF["panoptic"]), strict=True):
                texts[column].append(name_bytes(row.get(name), f"{state.file}: dict {number}: {name}"))
            places.append((placed.offset, placed.length))
    columns: dict[str, NDArray[Any]] = {name: column_of(values) for name, values in texts.items()}
    where = np.array(places, dtype=np.int64).reshape(-1, 2)
    return {**columns, "offset": where[:, 0].copy(), "length": where[:, 1].copy()}
