"""COCO: common objects in photographs, or any project annotated in COCO's JSON.

    root/train2017/*.jpg, root/val2017/*.jpg
    root/annotations/instances_<split>2017.json      truth: instances (80 things)
    root/annotations/panoptic_<split>2017.json       truth: panoptic (133 things and stuff)
    root/annotations/panoptic_<split>2017/*.png      segment id = R + 256 G + 65536 B, 0 = void

Other projects: set `images` and `annotations`, in which `{split}` and `{truth}` are filled in, for
example `images: "{split}"` and `annotations: "{split}/_annotations.coco.json"`. The classes are the
`categories` of the file, in its order. A split without an annotation file does not exist.

Polygons become masks as pycocotools paints them. An annotation with `iscrowd` is a crowd. With
instances, the semantic form has the smaller object on top and is void where no object is, or
the class `background` if that option names one; only then can the data set be scored as semantic.

Expected: 118,287 train, 5,000 val (48 without an object).
Publications: Lin et al., ECCV 2014; Kirillov et al., CVPR 2019.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.datasets import Truth
from bench.datasets._documents import read_json_object
from bench.datasets._files import read_mask
from bench.datasets._on_disk import Description, Entry, OnDisk, id_of, missing, root_of
from bench.datasets._rasters import painted, segmentation_mask, stacked
from bench.datasets._sources import Archive, Part, Preparation
from bench.datasets._tables import palette_colour
from bench.errors import DatasetError, did_you_mean
from bench.predictions import Panoptic, Segment, SemanticMap
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size, TaskKind

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


class Options(Record):
    """What a suite may set.

    Attributes:
        root: Folder that `images` and `annotations` start from.
        truth: Which annotations.
        images, annotations: Where images and JSON of a split lie.
        splits: Names to look for.
        classes: Use only these classes, in this order, and with `instances` only images that have
            one of them; None takes all.
        images_per_split: Use only the first so many images of each split, in the order of their ids.
        background: With `instances`, name of a class for pixels in no object.
    """

    root: str = "data/coco"
    truth: Literal["instances", "panoptic"] = "instances"
    images: str = "{split}2017"
    annotations: str = "annotations/{truth}_{split}2017.json"
    splits: tuple[str, ...] = ("train", "val", "test")
    classes: tuple[str, ...] | None = None
    images_per_split: int | None = Field(default=None, ge=1)
    background: str | None = None


@dataclass(frozen=True)
class Annotated:
    """The annotation file of one split, by image."""

    file: Path
    categories: tuple[dict[str, Any], ...]
    images: Mapping[str, dict[str, Any]]
    annotations: Mapping[str, list[dict[str, Any]]]


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the smallest annotation file for its categories.

    Raises:
        DatasetError: If there is no annotation file, or a class is asked for that it does not have.
    """
    files = {split: root_of(options.root) / _filled(options.annotations, options, split) for split in options.splits}
    found = {split: file for split, file in files.items() if file.is_file()}
    if not found:
        first = next(iter(files.values()), root_of(options.root))
        raise missing("coco", first, f"annotations for a split of {', '.join(options.splits)}", OBTAIN)
    reader = _Reader(options, found)
    tasks = TASKS
    if options.truth == "instances":
        tasks = ("instance",) if options.background is None else ("semantic", "instance")
    description = Description(
        name="coco",
        classes=reader.classes,
        tasks=tasks,
        source=SOURCE,
        licence=LICENCE,
        splits=tuple(found),
        decisive=[options.truth, options.background],
    )
    read = reader.instance_truth if options.truth == "instances" else reader.panoptic_truth
    return OnDisk(description, reader.entries, read)


def _filled(pattern: str, options: Options, split: str) -> str:
    return pattern.replace("{split}", split).replace("{truth}", options.truth)


class _Reader:
    """Annotation files of all splits, each read when first needed."""

    def __init__(self, options: Options, files: Mapping[str, Path]) -> None:
        self._options, self._files = options, files
        self._split = lru_cache(maxsize=None)(self._read_split)
        self._categories: dict[int, str] = {}
        smallest = min(files, key=lambda split: (files[split].stat().st_size, split))
        self._categories = {row["id"]: row["name"] for row in self._split(smallest).categories}
        self.classes = self._label_space(self._split(smallest))
        names = [c.name for c in self.classes]
        self._class_of = {i: names.index(name) for i, name in self._categories.items() if name in names}
        self._split_of: dict[Path, str] = {file: split for split, file in files.items()}

    def entries(self, split: str) -> list[Entry]:
        """Images of a split, in the order of their ids."""
        annotated, options = self._split(split), self._options
        folder = root_of(options.root) / _filled(options.images, options, split)
        keys = sorted(annotated.images, key=lambda key: (len(key), key))
        if options.classes is not None and options.truth == "instances":
            keys = [
                k for k in keys if any(a["category_id"] in self._class_of for a in annotated.annotations.get(k, ()))
            ]
        if options.truth == "panoptic":
            keys = [key for key in keys if key in annotated.annotations]
        entries = []
        for key in keys[: options.images_per_split]:
            name = str(annotated.images[key]["file_name"])
            truths: tuple[Path, ...] = (annotated.file,)
            if options.truth == "panoptic":
                truths += (annotated.file.with_suffix("") / annotated.annotations[key][0]["file_name"],)
            entries.append(Entry(id_of(PurePath(name)), folder / name, truths, key))
        if not entries:
            raise DatasetError(f"coco: {annotated.file} has no image with one of the classes asked for.")
        if not entries[0].image.is_file():
            raise missing("coco", entries[0].image, f"the {len(keys)} images that {annotated.file.name} names", OBTAIN)
        return entries

    def instance_truth(self, entry: Entry) -> Truth:
        """Instances, and the map painted from them."""
        annotated = self._split(self._split_of[entry.truths[0]])
        row = annotated.images[entry.key]
        size = Size(int(row["height"]), int(row["width"]))
        masks, class_ids, crowd = [], [], []
        for annotation in annotated.annotations.get(entry.key, []):
            class_id = self._class_id(annotation["category_id"], annotated.file)
            if class_id is None:
                continue
            try:
                masks.append(segmentation_mask(annotation.get("segmentation"), size))
            except (ValueError, TypeError) as error:
                raise DatasetError(
                    f"{annotated.file}: annotation {annotation.get('id')} of image {entry.image.name} cannot be drawn: "
                    f"{error}. Mend or remove it."
                ) from None
            class_ids.append(class_id)
            crowd.append(bool(annotation.get("iscrowd", 0)))
        instances = stacked(masks, class_ids, crowd, size)
        background = IGNORE_LABEL if self._options.background is None else len(self.classes) - 1
        return Truth(semantic=SemanticMap(painted(instances, background=background)), instances=instances)

    def panoptic_truth(self, entry: Entry) -> Truth:
        """Segments of the PNG, and the two other forms that follow from them."""
        file, png = entry.truths
        annotated = self._split(self._split_of[file])
        ids = segment_ids(png)
        listed = {int(row["id"]): row for row in annotated.annotations[entry.key][0]["segments_info"]}
        present, position = np.unique(ids, return_inverse=True)
        odd = sorted((set(present.tolist()) ^ set(listed)) - {0})
        if odd:
            raise DatasetError(
                f"{png}: segments {', '.join(map(str, odd[:5]))} are in the PNG or in {file.name} but not in both. "
                "Restore both from one source."
            )
        segments = []
        for number, row in listed.items():
            class_id = self._class_id(row["category_id"], file)
            if class_id is not None:
                segments.append(Segment(number, class_id, bool(row.get("iscrowd", 0))))
        return _from_segments(present, position.reshape(ids.shape), segments, self.classes)

    def _class_id(self, category: int, file: Path) -> int | None:
        """Class id of a category, None if it was not asked for."""
        if category not in self._categories:
            raise DatasetError(f"{file}: category_id {category} is not among its categories. Mend the file.")
        return self._class_of.get(category)

    def _read_split(self, split: str) -> Annotated:
        file = self._files[split]
        document = read_json_object(file)
        lists = [document.get(key) for key in ("images", "annotations", "categories")]
        if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists):
            raise DatasetError(
                f"{file} is not in COCO's format: it needs the lists images, annotations and categories. Results of a "
                "detector are a list alone; the annotations are wanted here."
            )
        images, annotations, categories = ([dict(row) for row in rows or []] for rows in lists)
        by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in annotations:
            by_image[str(row["image_id"])].append(row)
        annotated = Annotated(file, tuple(categories), {str(row["id"]): row for row in images}, dict(by_image))
        if self._categories and {row["id"]: row["name"] for row in categories} != self._categories:
            raise DatasetError(f"{file} has other categories than the other splits. All splits need the same.")
        return annotated

    def _label_space(self, annotated: Annotated) -> tuple[ClassSpec, ...]:
        options = self._options
        rows = {str(row["name"]): (index, row) for index, row in enumerate(annotated.categories)}
        if len(rows) != len(annotated.categories) or not rows:
            raise DatasetError(f"{annotated.file} has no categories, or two of one name. Mend the file.")
        for name in options.classes or ():
            if name not in rows:
                raise DatasetError(
                    f"coco: no class named {name!r}.{did_you_mean(name, rows)} "
                    f"{annotated.file.name} has: {', '.join(rows)}"
                )
        classes = [
            ClassSpec(
                name=name,
                is_thing=options.truth == "instances" or bool(rows[name][1].get("isthing", 1)),
                colour=_colour(*rows[name]),
            )
            for name in options.classes or tuple(rows)
        ]
        if options.background is not None and options.truth == "instances":
            classes.append(ClassSpec(name=options.background, is_thing=False, colour=(0, 0, 0)))
        return tuple(classes)


def _colour(index: int, row: Mapping[str, Any]) -> tuple[int, int, int]:
    red, green, blue = row.get("color") or palette_colour(index + 1)
    return int(red), int(green), int(blue)


def segment_ids(png: Path) -> NDArray[np.int32]:
    """Segment ids of a panoptic PNG, int32, (H, W); raises `DatasetError` if it is not RGB."""
    mask = read_mask(png)
    if mask.pixels.ndim != 3:
        raise DatasetError(f"{png} is not RGB; a panoptic PNG holds ids as R + 256 G + 65536 B. Restore it.")
    rgb = mask.pixels.astype(np.int32)
    return np.asarray(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2])


def _from_segments(
    present: NDArray[np.int32], position: NDArray[np.intp], segments: Sequence[Segment], classes: Sequence[ClassSpec]
) -> Truth:
    """All three forms of a panoptic map; ids that are not in `segments` become void."""
    class_of = {s.id: s.class_id for s in segments}
    kept = np.array([i if i in class_of else 0 for i in present.tolist()], dtype=np.int32)
    labels = np.array([class_of.get(i, IGNORE_LABEL) for i in present.tolist()], dtype=np.uint8)
    ids = kept[position]
    things = [s for s in segments if classes[s.class_id].is_thing]
    masks = [ids == s.id for s in things]
    size = Size(*ids.shape)
    return Truth(
        semantic=SemanticMap(labels[position]),
        instances=stacked(masks, [s.class_id for s in things], [s.crowd for s in things], size),
        panoptic=Panoptic(ids, tuple(segments)),
    )
