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
half a pixel wider. Boxes among them, class x y width height, are refused unless `without_mask` says what becomes of
them: `leave_out`, or `box` for crowds of their size. The semantic form has the smaller object on top and is void
where no object is, or the class `background` if that option names one. Masks are of pixels alone; with one
name only, 0 is a class `background` and 1 that name, as Ultralytics has it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.data.formats.coco_classes import WithoutMask, background_spec
from bench.data.formats.doubts import Doubt
from bench.data.formats.entries import Entry, EntryTable
from bench.data.formats.file_names import stem_of
from bench.data.formats.label_tables import MAX_CLASSES, named_classes, value_reader
from bench.data.formats.on_disk import Description, OnDisk, missing, require_files, root_of
from bench.data.formats.polygons import polygon_runs
from bench.data.formats.rasters import painted, stacked_runs
from bench.data.formats.yolo_labels import LabelRow, compare_labels, label_notes, label_rows, labels_elsewhere
from bench.data.formats.yolo_yaml import MASKS, DataYaml, ListedImages, read_data_yaml
from bench.data.formats.yolo_yaml import OBTAIN as OBTAIN
from bench.dataset import GroundTruth, PaintedGroundTruth
from bench.errors import DatasetError
from bench.records import Record, TaskKind
from bench.records.predictions import SemanticMap

SOURCE = "labels in the format of YOLO"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with the YAML.
        file: Its name.
        data: A YAML elsewhere, in the place of these two.
        truth: Polygons or masks; None takes masks if the YAML has masks_dir.
        background: Name of a class for pixels in no object; makes polygons a semantic data set as well.
        unmatched_labels: Treatment of label files that fit no image: left out; None refuses them where there are images
            without a label file.
        without_mask: Treatment of boxes among the polygons: left out, or crowds of their size; None refuses them.
    """

    root: str = "data/yolo"
    file: str = "data.yaml"
    data: str | None = None
    truth: Literal["polygons", "masks"] | None = None
    background: str | None = None
    unmatched_labels: Literal["leave_out"] | None = None
    without_mask: WithoutMask | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the YAML, lists nothing yet; raises `DatasetError` without a YAML, names or splits."""
    root = root_of(options.root)
    file = root / options.file if options.data is None else root_of(options.data)
    yaml = read_data_yaml(file, root)
    if options.truth == "masks" or (options.truth is None and yaml.masks is not None):
        return _open_masks(yaml, options)
    classes = named_classes(yaml.names, things=yaml.names)
    if options.background is not None:
        classes += (background_spec(options.background),)
    description = Description(
        "yolo",
        classes,
        TASKS[1:] if options.background is None else TASKS,
        f"polygons in YOLO's format, {file.name} of {file.parent.name}",
        LICENCE,
        tuple(yaml.splits),
        decisive=options.background if options.without_mask is None else [options.background, options.without_mask],
    )
    background = None if options.background is None else len(yaml.names)
    notes: dict[str, list[str]] = {}
    list_split = partial(_labelled, yaml, options.unmatched_labels, notes)
    ground_truth = partial(_ground_truth, yaml, background, options.without_mask)
    doubts = partial(_doubts, yaml, options.without_mask)
    return OnDisk(description, list_split, ground_truth, lambda split: notes.get(split, ()), doubts=doubts)


def _open_masks(yaml: DataYaml, options: Options) -> OnDisk:
    if len(yaml.names) >= MAX_CLASSES:
        raise DatasetError(f"{yaml.file} names {len(yaml.names)} classes; masks of 8 bits hold {MAX_CLASSES - 1}.")
    names = yaml.names if len(yaml.names) > 1 else (options.background or "background", *yaml.names)
    class_of, source = yaml.class_of_value(len(names)), f"{yaml.file.name} of {yaml.file.parent.name}"
    description = Description(
        "yolo",
        named_classes(names),
        TASKS[:1],
        f"masks in Ultralytics' format, {source}",
        LICENCE,
        tuple(yaml.splits),
        decisive=["masks", [[value, class_id] for value, class_id in class_of.items()]],
    )
    instead = "; a mask of Ultralytics' holds numbers of classes. Write those."
    listed = ", ".join(map(str, class_of))
    known = f"{yaml.file.name} knows {listed}. Add its name or its label_mapping, or fix the mask."

    def entries(split: str) -> list[Entry]:
        images = yaml.images_apart(split)
        found = _entries(images, _places(yaml, images, yaml.masks or MASKS), ".png", {})
        return require_files("yolo", found, "a mask", yaml.obtain)

    return OnDisk(description, entries, value_reader(class_of, known=known, instead=instead))


def _labelled(
    yaml: DataYaml, unmatched: Literal["leave_out"] | None, notes: dict[str, list[str]], split: str
) -> EntryTable:
    """Return images of a split with their text files, of which some may not be there."""
    images = yaml.images_apart(split)
    places = _places(yaml, images, "labels")
    files = compare_labels(images, {folder: place.ground_truths for folder, place in places.items()})
    entries = _entries(images, places, ".txt", files.spelt)
    if len(files.without) == len(entries):
        labels = f"labels of {len(entries)} images, of which none has any{labels_elsewhere(images)}"
        raise missing("yolo", entries[0].ground_truths[0], labels, yaml.obtain)
    notes[split] = images.notes + label_notes(images, files, leave_out=unmatched is not None)
    return entries


class _Place(NamedTuple):
    """The prefix of the ids of a folder's images, and the folder of their labels or masks."""

    prefix: str
    ground_truths: str


def _places(yaml: DataYaml, images: ListedImages, folder_of_ground_truths: str) -> dict[str, _Place]:
    return {folder: _place(yaml, folder, folder_of_ground_truths) for folder in dict.fromkeys(images.folders)}


def _place(yaml: DataYaml, folder: str, folder_of_ground_truths: str) -> _Place:
    parts, home = Path(os.path.normpath(folder)).parts, Path(os.path.normpath(yaml.base))
    # The label file of an image in no folder called images lies beside it, as Ultralytics has it; a mask cannot.
    if "images" not in parts and folder_of_ground_truths != "labels":
        raise DatasetError(
            f"yolo: {folder} does not lie in a folder images, beside which {folder_of_ground_truths} are sought."
        )
    behind: tuple[str, ...] = ()
    above = ground_truths = Path(*parts)
    if "images" in parts:
        position = len(parts) - 1 - parts[::-1].index("images")
        above, behind = Path(*parts[:position]), parts[position + 1 :]
        ground_truths = Path(above, folder_of_ground_truths, *behind)
    below = above.relative_to(home).parts if above.is_relative_to(home) else ()  # none of a folder elsewhere
    return _Place("".join(f"{name}__" for name in (*below, *behind)), str(ground_truths))


def _entries(images: ListedImages, places: Mapping[str, _Place], suffix: str, spelt: Mapping[int, str]) -> EntryTable:
    ids = [places[folder].prefix + stem_of(name) for folder, name in zip(images.folders, images.names, strict=True)]

    def entry(at: int) -> Entry:
        """Return the image at a position with its label file or mask."""
        folder, name = images.folders[at], images.names[at]
        own = spelt.get(at, stem_of(name) + suffix)
        return Entry(ids[at], Path(folder, name), (Path(places[folder].ground_truths, own),))

    return EntryTable(ids, entry)


def _ground_truth(
    yaml: DataYaml, background: int | None, without_mask: WithoutMask | None, entry: Entry
) -> GroundTruth:
    size = entry.size
    rows = label_rows(entry.ground_truths[0], len(yaml.names), yaml.file.name)
    boxes = [row for row in rows if row.is_box]
    if boxes and without_mask is None:
        raise _undecided_boxes(boxes, rows)
    if without_mask == "leave_out":
        rows = [row for row in rows if not row.is_box]
    runs = polygon_runs([[row.corners * (size.width, size.height)] for row in rows], size)
    is_box = [row.is_box for row in rows]
    instances = stacked_runs(runs, [row.class_id for row in rows], is_box)
    unknown = np.array(is_box) if any(is_box) else None
    num_classes = len(yaml.names) + (background is not None)
    paint = partial(painted, instances, background=background, num_classes=num_classes, unknown=unknown)
    return PaintedGroundTruth(instances, lambda: SemanticMap(paint()))


def _undecided_boxes(boxes: Sequence[LabelRow], rows: Sequence[LabelRow]) -> DatasetError:
    first, mixed = boxes[0], len(boxes) < len(rows)
    also = " Ultralytics takes the two pairs of numbers of a box for two corners of an outline." if mixed else ""
    return DatasetError(
        f"{first.where} has five numbers: a box for detection, not a polygon; {len(boxes)} of {len(rows)} objects of "
        f"the file are boxes, and no mask can be made of a box.{also} Draw their outlines (class x1 y1 x2 y2 x3 y3 …), "
        "or say what becomes of them by the data set's option: without_mask: leave_out (they are no objects; what is "
        "found there counts as wrong) or without_mask: box (the box is a crowd: what is found there counts neither as "
        "right nor as wrong).",
        kind="labels",
    )


def _doubts(yaml: DataYaml, without_mask: WithoutMask | None, entry: Entry) -> list[Doubt]:
    """Boxes among the objects of an image, and what the option makes of them."""
    rows = label_rows(entry.ground_truths[0], len(yaml.names), yaml.file.name)
    boxes = [row for row in rows if row.is_box]
    if not boxes:
        return []
    become = "are left out" if without_mask == "leave_out" else "are crowds of the size of their box"
    return [Doubt("read", len(boxes), len(rows), f"are boxes without an outline and {become}", boxes[0].where)]
