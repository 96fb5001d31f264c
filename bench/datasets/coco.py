"""COCO: common objects in photographs, or any project annotated in COCO's JSON.

    root/train2017/*.jpg, root/val2017/*.jpg
    root/annotations/instances_<split>2017.json      truth: instances (80 things)
    root/annotations/panoptic_<split>2017.json       truth: panoptic (133 things and stuff)
    root/annotations/panoptic_<split>2017/*.png      segment id = R + 256 G + 65536 B, 0 = void
    root/annotations/stuff_<split>2017.json          truth: stuff (91 kinds of stuff, and other)
    root/stuffthingmaps/<split>2017/*.png            truth: stuff_maps (80 things and 91 kinds of stuff)

Other projects: set `images` and `annotations`, in which `{split}` and `{ground truth}` are filled in, for
example `images: "{split}"` and `annotations: "{split}/_annotations.coco.json"`. The classes are the
`categories` of the file, in its order. A split without an annotation file does not exist.

Polygons become masks as pycocotools paints them. An annotation with `iscrowd` is a crowd. With
instances, the semantic form has the smaller object on top and is void where no object is, or
the class `background` if that option names one; only then can the data set be scored as semantic.
The annotations of COCO-Stuff are of pixels alone: one run-length mask for each kind of stuff, in which
`other` is all that is no stuff, or a map of the classes in `_labels/coco_stuff.csv`. Their void is
what is not labelled.

A JSON file is read once and an index of it remembered, see `_coco_index.py`; memory does not grow
with the annotations.

Expected: 118,287 train, 5,000 val (48 without an object).
Publications: Lin et al., ECCV 2014; Kirillov et al., CVPR 2019; Caesar et al., CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.formats.coco_index import CocoIndex, coco_index
from bench.data.formats.coco_stuff import Folders, open_stuff_maps, used_classes
from bench.data.formats.image_files import image_size
from bench.data.formats.label_tables import palette_colour
from bench.data.formats.on_disk import Description, Entry, OnDisk, id_of, missing, root_of
from bench.data.formats.rasters import SegmentationError, painted, segmentation_masks, stacked
from bench.data.formats.segments import read_segment_map
from bench.data.formats.sources import Archive, Part, Preparation
from bench.data.labels.spaces import label_space
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size, TaskKind
from bench.records.predictions import Segment, SemanticMap

SOURCE = "COCO or a project in its format, https://cocodataset.org"
LICENCE = "annotations CC BY 4.0; images under Flickr's terms of use; other projects: their own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance", "panoptic")
EXPECTED = {"train": 118287, "val": 5000}
ADDRESS = "http://images.cocodataset.org"
PREPARE = Preparation(
    parts=(
        Part(
            name="val",
            what="5,000 images",
            archives=(Archive(f"{ADDRESS}/zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80"),),
            options=None,
            splits=("val",),
        ),
        Part(
            name="train",
            what="118,287 images",
            archives=(Archive(f"{ADDRESS}/zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),),
            options=None,
            splits=("train",),
            by_default=False,
        ),
        Part(
            name="instances",
            what="objects of both splits, for truth: instances",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/annotations_trainval2017.zip",
                    "md5:f4bbac642086de4f52a3fdda2de5fa2c",
                    only=("annotations/instances_*2017.json",),
                ),
            ),
        ),
        Part(
            name="panoptic",
            what="segments of both splits, for truth: panoptic",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/panoptic_annotations_trainval2017.zip",
                    "sha256:c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
                    inner=("annotations/panoptic_*2017.zip",),
                ),
            ),
            options={"truth": "panoptic"},
            by_default=False,
        ),
        Part(
            name="stuff",
            what="stuff of both splits, for truth: stuff",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/stuff_annotations_trainval2017.zip",
                    "md5:2a27c15a2dfcbd2e1c9276dc23cac101",
                    only=("annotations/stuff_*2017.json",),
                ),
            ),
            options={"truth": "stuff"},
            by_default=False,
        ),
    )
)
OBTAIN = (
    "Fetch it with: bench data prepare coco --out data/coco. By hand: unpack train2017.zip, val2017.zip, "
    "annotations_trainval2017.zip, panoptic_annotations_trainval2017.zip and stuff_annotations_trainval2017.zip from "
    f"{ADDRESS} into one folder; the panoptic PNGs are in archives within the last but one."
)
STUFF_MAPS = "stuffthingmaps/{split}2017"
TASKS_OF: dict[str, tuple[TaskKind, ...]] = {
    "instances": ("instance",),
    "panoptic": TASKS,
    "stuff": ("semantic",),
}


class Options(Record):
    """What a suite may set.

    Attributes:
        root: Folder that `images`, `annotations` and `maps` start from.
        truth: Which annotations.
        images, annotations: Where images and JSON of a split lie.
        maps: Where the PNGs lie; None for the usual place: with `panoptic` the folder beside the JSON that
            has its name, with `stuff_maps` stuffthingmaps/{split}2017.
        splits: Names to look for.
        classes: Use only these classes, in this order, and with `instances` only images that have
            one of them; None takes all.
        images_per_split: Use only the first so many images of each split, in the order of their ids.
        background: With `instances`, name of a class for pixels in no object.
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


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the smallest annotation file for its categories.

    Raises:
        DatasetError: If there is no annotation file, or a class is asked for that it does not have.
    """
    if options.truth == "stuff_maps":
        places = {
            split: Folders(_place(options, options.images, split), _place(options, options.maps or STUFF_MAPS, split))
            for split in options.splits
        }
        return open_stuff_maps(places, classes=options.classes, images_per_split=options.images_per_split)
    files = {split: _place(options, options.annotations, split) for split in options.splits}
    found = {split: file for split, file in files.items() if file.is_file()}
    if not found:
        first = next(iter(files.values()), root_of(options.root))
        raise missing("coco", first, f"annotations for a split of {', '.join(options.splits)}", OBTAIN)
    reader = _Reader(options, found)
    with_background = options.truth == "instances" and options.background is not None
    description = Description(
        name="coco",
        classes=reader.classes,
        tasks=("semantic", "instance") if with_background else TASKS_OF[options.truth],
        source=SOURCE,
        licence=LICENCE,
        splits=tuple(found),
        decisive=[options.truth, options.background],
    )
    read = {"instances": reader.instance_truth, "panoptic": reader.panoptic_truth, "stuff": reader.stuff_truth}
    return OnDisk(description, reader.entries, read[options.truth])


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
        classes.append(ClassSpec(name=options.background, is_thing=False, colour=(0, 0, 0)))
    return tuple(classes)


class _Reader:
    """Annotation files of all splits, each indexed when first needed."""

    def __init__(self, options: Options, files: Mapping[str, Path]) -> None:
        self._options, self._files = options, files
        self._index = lru_cache(maxsize=None)(self._read_index)
        self._categories: dict[int, str] = {}
        smallest = self._index(min(files, key=lambda split: (files[split].stat().st_size, split)))
        self._categories = _names_of(smallest)
        self.classes = self._label_space(smallest)
        names = [c.name for c in self.classes]
        self._class_of = {i: names.index(name) for i, name in self._categories.items() if name in names}
        self._split_of: dict[Path, str] = {file: split for split, file in files.items()}

    def entries(self, split: str) -> list[Entry]:
        """Images of a split, in the order of their ids."""
        index, options = self._index(split), self._options
        folder = _place(options, options.images, split)
        kept = np.flatnonzero(self._kept(index))
        if not len(kept):
            raise DatasetError(f"coco: {index.state.file} has no image with one of the classes asked for.")
        entries = []
        for image in kept[: options.images_per_split].tolist():
            name = index.names[image].decode()
            ground_truths: tuple[Path, ...] = (index.state.file,)
            if options.truth == "panoptic":
                ground_truths += (self._maps(split) / (index.maps[image].decode() or PurePath(name).stem + ".png"),)
            entries.append(Entry(id_of(PurePath(name)), folder / name, ground_truths, index.key(image)))
        if not entries[0].image.is_file():
            what = f"the {len(kept)} images that {index.state.file.name} names"
            raise missing("coco", entries[0].image, what, OBTAIN)
        return entries

    def instance_truth(self, entry: Entry) -> GroundTruth:
        """Instances, and the map painted from them."""
        index = self._index_of(entry)
        size = self._size(index, entry)
        drawn, class_ids, crowd = [], [], []
        for annotation in index.annotations(entry.key):
            class_id = self._class_id(annotation, index)
            if class_id is not None:
                drawn.append(annotation)
                class_ids.append(class_id)
                crowd.append(bool(annotation.get("iscrowd", 0)))
        instances = stacked(_masks(drawn, size, index, entry), class_ids, crowd, size)
        background = IGNORE_LABEL if self._options.background is None else len(self.classes) - 1
        return GroundTruth(semantic=SemanticMap(painted(instances, background=background)), instances=instances)

    def panoptic_truth(self, entry: Entry) -> GroundTruth:
        """Segments of the PNG, and the two other forms that follow from them."""
        index = self._index_of(entry)
        found = read_segment_map(entry.ground_truths[1])
        listed = {int(row["id"]): row for row in index.annotations(entry.key)[0]["segments_info"]}
        found.require(listed, index.state.file)
        segments = []
        for number, row in listed.items():
            class_id = self._class_id(row, index)
            if class_id is not None:
                segments.append(Segment(number, class_id, bool(row.get("iscrowd", 0))))
        return found.truth(segments, self.classes)

    def stuff_truth(self, entry: Entry) -> GroundTruth:
        """One mask for each class; raises `DatasetError` where a pixel is in two, as COCO-Stuff's own reader does."""
        index = self._index_of(entry)
        size = self._size(index, entry)
        labels = np.full(size, IGNORE_LABEL, dtype=np.uint8)
        taken = np.zeros(size, dtype=np.bool_)
        for annotation in index.annotations(entry.key):
            mask = _masks([annotation], size, index, entry)[0]
            if (mask & taken).any():
                raise DatasetError(
                    f"{index.state.file}: annotation {annotation.get('id')} of image {entry.image.name} covers pixels "
                    "that another one covers too; in stuff annotations a pixel has one class. Fix or remove it.",
                    kind="labels",
                )
            taken |= mask
            class_id = self._class_id(annotation, index)
            labels[mask] = IGNORE_LABEL if class_id is None else class_id
        return GroundTruth(semantic=SemanticMap(labels))

    def _kept(self, index: CocoIndex) -> NDArray[np.bool_]:
        """Which images are used, bool, (I,)."""
        if self._options.truth != "instances":
            return index.counts() > 0
        if self._options.classes is None:
            return np.ones(len(index), dtype=np.bool_)
        wanted = [row["id"] in self._class_of for row in index.categories]
        return index.with_category(np.array(wanted, dtype=np.bool_))

    def _maps(self, split: str) -> Path:
        """Folder of the panoptic PNGs."""
        if self._options.maps is None:
            return self._files[split].with_suffix("")
        return _place(self._options, self._options.maps, split)

    def _index_of(self, entry: Entry) -> CocoIndex:
        return self._index(self._split_of[entry.ground_truths[0]])

    def _size(self, index: CocoIndex, entry: Entry) -> Size:
        return index.size(index.position(entry.key)) or image_size(entry.image)

    def _class_id(self, row: Mapping[str, Any], index: CocoIndex) -> int | None:
        """Class id of an annotation or segment, None if its category was not asked for."""
        category = row.get("category_id")
        if category not in self._categories:
            raise DatasetError(
                f"{index.state.file}: category_id {category} is not among its categories. Fix the file.", kind="labels"
            )
        return self._class_of.get(category)

    def _read_index(self, split: str) -> CocoIndex:
        index = coco_index(self._files[split])
        if self._categories and _names_of(index) != self._categories:
            raise DatasetError(
                f"{index.state.file} has other categories than the other splits. All splits need the same."
            )
        return index

    def _label_space(self, index: CocoIndex) -> tuple[ClassSpec, ...]:
        options, file = self._options, index.state.file
        rows = {str(row["name"]): (position, row) for position, row in enumerate(index.categories)}
        if len(rows) != len(index.categories) or not rows:
            raise DatasetError(f"{file} has no categories, or two of one name. Fix the file.")
        for name in options.classes or ():
            if name not in rows:
                raise DatasetError(
                    f"coco: no class named {name!r}.{did_you_mean(name, rows)} {file.name} has: {', '.join(rows)}"
                )
        classes = [
            ClassSpec(name=name, is_thing=self._is_thing(rows[name][1]), colour=_colour(*rows[name]))
            for name in options.classes or tuple(rows)
        ]
        if options.background is not None and options.truth == "instances":
            classes.append(ClassSpec(name=options.background, is_thing=False, colour=(0, 0, 0)))
        return tuple(classes)

    def _is_thing(self, category: Mapping[str, Any]) -> bool:
        return {"instances": True, "stuff": False}.get(self._options.truth, bool(category.get("isthing", 1)))


def _names_of(index: CocoIndex) -> dict[int, str]:
    """Category id -> name."""
    return {row["id"]: str(row["name"]) for row in index.categories}


def _masks(annotations: Sequence[Mapping[str, Any]], size: Size, index: CocoIndex, entry: Entry) -> NDArray[np.bool_]:
    """Masks of annotations of one image, bool, (N, H, W)."""
    try:
        return segmentation_masks([annotation.get("segmentation") for annotation in annotations], size)
    except SegmentationError as error:
        raise DatasetError(
            f"{index.state.file}: annotation {annotations[error.position].get('id')} of image {entry.image.name} "
            f"cannot be drawn: {error}. Fix or remove it."
        ) from None


def _colour(index: int, row: Mapping[str, Any]) -> tuple[int, int, int]:
    red, green, blue = row.get("color") or palette_colour(index + 1)
    return int(red), int(green), int(blue)
