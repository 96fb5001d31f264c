"""COCO: common objects in photographs, or any project annotated in COCO's JSON.

    root/train2017/*.jpg, root/val2017/*.jpg
    root/annotations/instances_<split>2017.json      truth: instances (80 things)
    root/annotations/panoptic_<split>2017.json       truth: panoptic (133 things and stuff)
    root/annotations/panoptic_<split>2017/*.png      segment id = R + 256 G + 65536 B, 0 = void
    root/annotations/stuff_<split>2017.json          truth: stuff (91 kinds of stuff, and other)
    root/stuffthingmaps/<split>2017/*.png            truth: stuff_maps (80 things and 91 kinds of stuff)

Other projects: set `images` and `annotations`, in which `{split}` and `{truth}` are filled in, for
example `images: "{split}"` and `annotations: "{split}/_annotations.coco.json"`. The classes are the
`categories` of the file, in its order. A split without an annotation file does not exist.

Polygons become masks as pycocotools paints them. An annotation with `iscrowd` is a crowd. With
instances, the semantic form has the smaller object on top and is void where no object is, or
the class `background` if that option names one; only then can the data set be scored as semantic.
The annotations of COCO-Stuff are of pixels alone: one run-length mask for each kind of stuff, in which
`other` is all that is no stuff, or a map of the classes in `_labels/coco_stuff.csv`. Their void is
what is not labelled.

A JSON file is read once and an index of it remembered, see `bench/data/formats/coco_index.py`; memory
does not grow with the annotations.

Expected: 118,287 train, 5,000 val (48 without an object).
Publications: Lin et al., ECCV 2014; Kirillov et al., CVPR 2019; Caesar et al., CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from pydantic import Field, JsonValue

from bench.data.formats.coco_classes import (
    NOT_ASKED_FOR,
    Crowds,
    WithoutMask,
    background_spec,
    checked_objects,
    class_table,
    classes_of,
    exporter_roots,
    ids_of_classes,
    note_of_other_ids,
    used_categories,
)
from bench.data.formats.coco_documents import CocoAnnotation
from bench.data.formats.coco_ground_truth import (
    ORDER_OPTION,
    doubts_of,
    images_missing,
    listed_segments,
    no_annotations,
    runs_of,
    unchecked_classes,
    with_boxes,
)
from bench.data.formats.coco_index import CocoIndex, coco_index
from bench.data.formats.coco_rows import CROWD, WITHOUT_MASK, is_crowd, said_area
from bench.data.formats.coco_source import OBTAIN as OBTAIN
from bench.data.formats.coco_source import PREPARE as PREPARE
from bench.data.formats.coco_stuff import Folders, open_stuff_maps, used_classes
from bench.data.formats.doubts import Doubt
from bench.data.formats.entries import Entry, EntryTable
from bench.data.formats.file_names import ImagePlaces, ids_of_names, names_in, refuse_one_file_twice
from bench.data.formats.home import lies_there
from bench.data.formats.on_disk import Description, OnDisk, root_of
from bench.data.formats.rasters import painted, read_segment_map
from bench.data.labels.spaces import label_space
from bench.dataset import GroundTruth, PaintedGroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind
from bench.records.instances import EncodedInstances
from bench.records.mask_runs import MaskRuns
from bench.records.predictions import Segment, SemanticMap

SOURCE = "COCO or a project in its format, https://cocodataset.org"
LICENCE = "annotations CC BY 4.0; images under Flickr's terms of use; other projects: their own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance", "panoptic")
EXPECTED = {"train": 118287, "val": 5000}
STUFF_MAPS = "stuffthingmaps/{split}2017"
TASKS_OF = {"instances": TASKS[1:2], "panoptic": TASKS, "stuff": TASKS[:1]}


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder that `images`, `annotations` and `maps` start from.
        truth: Kind of annotations that is the ground truth.
        images, annotations: Path of the images' folder and of the JSON of a split.
        maps: Folder of the PNGs; None for the usual place: with `panoptic` the folder beside the JSON that has its
            name, with `stuff_maps` stuffthingmaps/{split}2017.
        splits: Names to look for.
        classes: Use only these classes, in this order; None takes all. Images without any of them stay,
            because what is found there is wrong.
        images_per_split: Use only the first n images of each split, in the order of their ids.
        background: Name of a class for pixels in no object, with `instances`. It says that all objects of the classes
            are annotated, so that the data set can be scored as semantic, too.
        without_mask: Treatment of annotations without a mask: left out, or a crowd of the size of their box.
        crowds: Treatment of annotations marked `iscrowd`, where most are: crowds, or objects each.
        run_lengths: Order of run lengths: down the columns, as COCO's, or along the rows; None refuses plain rows.
        missing_images: Treatment of images that are not on disk: left out; None refuses them.
    """

    root: str = "data/coco"
    truth: Literal["instances", "panoptic", "stuff", "stuff_maps"] = "instances"
    images: str = "{split}2017"
    annotations: str = "annotations/{truth}_{split}2017.json"
    maps: str | None = None
    splits: tuple[str, ...] = ("train", "val", "test")
    classes: tuple[str, ...] | None = None
    images_per_split: int | None = Field(default=None, ge=1)
    background: str | None = None
    without_mask: WithoutMask | None = None
    crowds: Crowds | None = None
    run_lengths: Literal["columns", "rows"] | None = None
    missing_images: Literal["leave_out"] | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the smallest file for its categories; raises `DatasetError` for what is missing."""
    if options.truth == "stuff_maps":
        maps = options.maps or STUFF_MAPS
        places = {s: Folders(_place(options, options.images, s), _place(options, maps, s)) for s in options.splits}
        return open_stuff_maps(places, classes=options.classes, images_per_split=options.images_per_split)
    files = {split: _place(options, options.annotations, split) for split in options.splits}
    found = {split: file for split, file in files.items() if lies_there(file)}
    if not found:
        first = next(iter(files.values()), root_of(options.root))
        raise no_annotations(root_of(options.root), first, options.splits, OBTAIN)
    reader = _Reader(options, found)
    with_background = options.truth == "instances" and options.background is not None
    tasks = TASKS[:2] if with_background else TASKS_OF[options.truth]
    description = Description("coco", reader.classes, tasks, SOURCE, LICENCE, tuple(found), _decisive(options))
    read = {"instances": reader.instances_of, "panoptic": reader.panoptic_of, "stuff": reader.stuff_of}
    doubts = reader.doubts if options.truth == "instances" else None
    return OnDisk(description, reader.entries, read[options.truth], reader.notes, doubts=doubts)


def _decisive(options: Options) -> list[JsonValue]:
    """Options that decide what a ground truth is; those that say nothing are left out."""
    rows = options.run_lengths if options.run_lengths == "rows" else None
    further = {"without_mask": options.without_mask, "crowds": options.crowds, "run_lengths": rows}
    said: dict[str, JsonValue] = {name: value for name, value in further.items() if value is not None}
    return [options.truth, options.background, *([said] if said else [])]


def _place(options: Options, pattern: str, split: str) -> Path:
    return root_of(options.root) / pattern.replace("{split}", split).replace("{truth}", options.truth)


def classes_without_files(options: Options) -> tuple[ClassSpec, ...] | None:
    """COCO's own classes; None where the files lie otherwise than COCO's, for they are another project's."""
    if options.truth == "stuff_maps":
        return used_classes(options.classes)
    usual = Options()
    space = {"instances": "coco_things", "panoptic": "coco_panoptic"}.get(options.truth)
    if space is None or (options.images, options.annotations) != (usual.images, usual.annotations):
        return None
    known = {spec.name: spec for spec in label_space(space).classes}
    classes = [known[name] for name in options.classes or tuple(known) if name in known]
    if options.background is not None and options.truth == "instances":
        classes.append(background_spec(options.background))
    return tuple(classes)


class _Reader:
    """Annotation files of all splits, each indexed when first needed."""

    def __init__(self, options: Options, files: Mapping[str, Path]) -> None:
        self._options, self._files = options, files
        self._by_rows = options.run_lengths == "rows"
        self._split_of: dict[Path, str] = {file: split for split, file in files.items()}
        self._index = lru_cache(maxsize=None)(self._read_index)
        self._first: CocoIndex | None = None
        self._renumbered: dict[str, list[str]] = {}
        self._class_ids = lru_cache(maxsize=None)(self._ids_of_classes)
        self._table = lru_cache(maxsize=None)(lambda s: class_table(self._index(s), self._class_ids(files[s])))
        self._notes: dict[str, list[str]] = {}
        self._last: tuple[str, list[CocoAnnotation], MaskRuns] | None = None
        first = self._index(min(files, key=lambda split: (files[split].stat().st_size, split)))
        self._roots = exporter_roots(first.categories, used_categories(first))
        self._names, self._first = first.names_of_categories, first
        things = {"instances": True, "stuff": False}.get(options.truth)
        background = options.background if options.truth == "instances" else None
        self.classes = classes_of(
            first, roots=self._roots, wanted=options.classes, all_things=things, background=background
        )

    def notes(self, split: str) -> tuple[str, ...]:
        """Return what was read otherwise than it is written, once `entries` has listed the split."""
        return tuple(self._notes.get(split, ()))

    def entries(self, split: str) -> EntryTable:
        """Images of a split, in the order of their ids."""
        index, options = self._index(split), self._options
        used = np.arange(len(index)) if options.truth == "instances" else np.flatnonzero(index.counts() > 0)
        kept = used[: options.images_per_split]
        if not len(kept):
            raise DatasetError(f"coco: {index.state.file} lists no image that has a ground truth. Add images to it.")
        names = [name.decode() for name in index.names[kept].tolist()]
        notes = self._notes[split] = [*self._renumbered.get(split, ()), *self._checked(index)]
        folder = _place(options, options.images, split)
        places = ImagePlaces([folder, root_of(options.root)])
        elsewhere = {name: places.find(name) for name in names if not places.has(name)}
        absent = [position for position, name in enumerate(names) if elsewhere.get(name, folder) is None]
        if absent and (options.missing_images is None or len(absent) == len(kept)):
            usual = (options.images, options.annotations) == (Options().images, Options().annotations)
            lost = [names[position] for position in absent]
            raise images_missing(lost, len(kept), index.state.file, folder, OBTAIN if usual else None)
        if absent:
            notes.append(f"{index.state.file.name}: {len(absent)} of {len(kept)} images are not on disk and left out")
            kept = np.delete(kept, absent)
            names = [name for name in names if elsewhere.get(name, folder) is not None]
        if any(elsewhere.values()):
            of_name = {name: str(elsewhere.get(name) or f"{folder}/{name}") for name in names}
            refuse_one_file_twice(of_name, str(index.state.file))
        notes += places.notes(index.state.file.name)
        ids = self._ids(split, names)
        beside = self._files[split].with_suffix("")
        maps = beside if options.maps is None else _place(options, options.maps, split)

        def entry(at: int) -> Entry:
            image = int(kept[at])
            name = index.names[image].decode()
            ground_truths: tuple[Path, ...] = (index.state.file,)
            if options.truth == "panoptic":
                ground_truths += (maps / (index.maps[image].decode() or PurePath(name).stem + ".png"),)
            return Entry(ids[at], elsewhere.get(name) or Path(folder, name), ground_truths, index.key(image))

        return EntryTable(ids, entry)

    def _checked(self, index: CocoIndex) -> list[str]:
        """Notes on the annotations; raises `DatasetError` for what an option has to settle."""
        options = self._options
        if options.truth != "instances":
            return []
        class_of = self._class_ids(index.state.file)
        used = np.array([class_of.get(row["id"]) is not None for row in index.categories], dtype=np.bool_)
        chosen = np.append(used, True)[index.category]  # of no category: -1 takes the appended one
        notes = checked_objects(index, chosen, without_mask=options.without_mask, crowds=options.crowds)
        if self._roots:
            names = ", ".join(repr(self._names[i]) for i in sorted(self._roots))
            notes.append(f"{index.state.file.name}: the exporter's root category {names} is no class and left out")
        if (index.row_offset >= 0).any():
            notes.append(
                f"{index.state.file.name}: its images were looked through for some categories each, as LVIS's and Open "
                "Images'; detections of others count neither as right nor as wrong; lvis_ap is LVIS's own metric"
            )
        return notes

    def _ids(self, split: str, names: Sequence[str]) -> list[str]:
        """Ids of images: their names; with suffix or split where these alone would not be unique."""
        ids = ids_of_names(names)
        own = _place(self._options, self._options.images, split)
        for other in self._files:
            folder = _place(self._options, self._options.images, other)
            if other != split and folder != own and not names_in(folder).isdisjoint(names):
                return [f"{split}__{image_id}" for image_id in ids]
        return [image_id.lstrip("_") or image_id for image_id in ids] if any(i[0] in "_/" for i in ids) else ids

    def instances_of(self, entry: Entry) -> GroundTruth:
        """Instances, and the map painted from them."""
        index, class_of = self._index_of(entry), self._table(self._split_of[entry.ground_truths[0]])
        image = index.position(entry.key)
        part, size = index.part(image), index.size(image) or entry.size
        rows, class_ids, flags = index.rows(part), class_of[index.category[part]], index.flags[part]
        if class_ids.min(initial=0) < NOT_ASKED_FOR:
            strange = index.annotations(entry.key)[int(class_ids.argmin())]
            self._class_id(strange.get("category_id"), index)  # raises
        without = (flags & WITHOUT_MASK) > 0
        kept = class_ids > NOT_ASKED_FOR
        if self._options.without_mask == "leave_out":
            kept &= ~without
        class_ids, flags = class_ids[kept], flags[kept]
        drawn: list[CocoAnnotation] = [row for row, keep in zip(rows, kept.tolist(), strict=True) if keep]
        boxes = np.flatnonzero(without[kept]).tolist() if self._options.without_mask == "box" else []
        for position in boxes:
            drawn[position]["segmentation"] = []
        crowd = (flags & CROWD) > 0 if self._options.crowds != "objects" else np.zeros(len(drawn), dtype=np.bool_)
        runs = runs_of(drawn, size, index.state.file, entry.image.name, by_rows=self._by_rows)
        if boxes:
            runs = with_boxes(runs, drawn, boxes, index.state.file)
            crowd[boxes] = True
        self._last = entry.image_id, drawn, runs
        instances = EncodedInstances(
            runs,
            class_ids=class_ids,
            scores=np.ones(len(drawn)),
            crowd=crowd,
            areas=np.array([said_area(one) for one in drawn], dtype=np.float64),
            unchecked=unchecked_classes(index.row(image), class_ids.tolist(), self._class_ids(index.state.file)),
        )
        unknown = np.isin(np.arange(len(drawn)), boxes) if boxes else None
        background = None if self._options.background is None else len(self.classes) - 1
        paint = partial(painted, instances, background=background, num_classes=len(self.classes), unknown=unknown)
        return PaintedGroundTruth(instances, lambda: SemanticMap(paint()))

    def doubts(self, entry: Entry) -> list[Doubt]:
        """Return where annotations disagree with themselves; those of the image read last are not read again."""
        if self._last is None or self._last[0] != entry.image_id:
            self.instances_of(entry)
        assert self._last is not None
        _, drawn, runs = self._last
        asked = None if self._options.run_lengths else ORDER_OPTION
        return doubts_of(drawn, runs.drawn(), runs.size, entry.image.name, order_advice=asked)

    def panoptic_of(self, entry: Entry) -> GroundTruth:
        """Segments of the PNG, and the two other forms that follow from them."""
        index = self._index_of(entry)
        found = read_segment_map(entry.ground_truths[1])
        listed = listed_segments(index.annotations(entry.key)[0], index.state.file)
        found.require(listed, index.state.file)
        segments = []
        for number, row in listed.items():
            class_id = self._class_id(row["category_id"], index)
            if class_id is not None:
                segments.append(Segment(number, class_id, is_crowd(row)))
        return found.ground_truth(segments, self.classes)

    def stuff_of(self, entry: Entry) -> GroundTruth:
        """Return a mask for each class; raises `DatasetError` where a pixel is in two, as COCO-Stuff's reader does."""
        index = self._index_of(entry)
        size = index.size(index.position(entry.key)) or entry.size
        labels = np.full(size, IGNORE_LABEL, dtype=np.uint8)
        taken = np.zeros(size, dtype=np.bool_)
        for annotation in index.annotations(entry.key):
            runs = runs_of([annotation], size, index.state.file, entry.image.name, by_rows=self._by_rows)
            mask = runs.drawn()[0]
            if (mask & taken).any():
                raise DatasetError(
                    f"{index.state.file}: annotation {annotation.get('id')} of image {entry.image.name} covers pixels "
                    "that another one covers too; in stuff annotations a pixel has one class. Fix or remove it.",
                    kind="labels",
                )
            taken |= mask
            class_id = self._class_id(annotation.get("category_id"), index)
            labels[mask] = IGNORE_LABEL if class_id is None else class_id
        return GroundTruth(SemanticMap(labels))

    def _index_of(self, entry: Entry) -> CocoIndex:
        return self._index(self._split_of[entry.ground_truths[0]])

    def _class_id(self, category: str | None, index: CocoIndex) -> int | None:
        """Class id of an annotation or segment, None if its category was not asked for."""
        class_of = self._class_ids(index.state.file)
        if category is None or category not in class_of:
            raise DatasetError(
                f"{index.state.file}: category_id {category} is not among its categories. Fix the file.", kind="labels"
            )
        return class_of[category]

    def _ids_of_classes(self, file: Path) -> dict[str, int | None]:
        """Return category id in a file -> class id, None for one that was not asked for; without the roots."""
        named = self._index(self._split_of[file]).names_of_categories
        return ids_of_classes(named, self._names, self._roots, self.classes)

    def _read_index(self, split: str) -> CocoIndex:
        index = coco_index(self._files[split])
        if self._first is not None and index.names_of_categories != self._names:
            self._renumbered[split] = [note_of_other_ids(index, self._first)]
        return index
