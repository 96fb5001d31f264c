"""Write a data set as COCO: JPEG images, instances JSON, and what else of COCO's annotations the source can fill.

As in COCO: file names of twelve digits; category ids from 1; polygons along pixel edges for objects,
run lengths (column-major, not compressed) for crowds. An object with a hole, which polygons cannot
hold, gets run lengths too, with `iscrowd` 0; pycocotools and this harness read that.

Besides instances there are panoptic JSON and PNGs where the source has segments; stuff JSON, in which
all things are one class `other`, where it has stuff; and the pixel maps of COCO-Stuff where each of its
classes has the name of one of theirs, see `names`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.exports import Exported
from bench.data.exports._names import class_map
from bench.data.exports._writing import (
    JPEG_LOSS,
    Item,
    finish,
    items,
    mapped,
    new_folder,
    objects_of,
    write_jpeg,
    write_png_file,
)
from bench.data.formats.coco_stuff import stored_values
from bench.data.formats.polygons import outlines
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec
from bench.records.mask_runs import run_lengths
from bench.records.png import rgb_of_ids
from bench.records.predictions import LabelMap, Panoptic

LOSS = (
    JPEG_LOSS,
    "instances alone say nothing about stuff and void; the panoptic files do",
    "pixel maps of COCO-Stuff are written only where every class has a name of theirs",
)
MAX_SEGMENT_ID = 2**24 - 1


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits as `<split>2017`; `names` renames classes, for the pixel maps to those of COCO-Stuff."""
    new_folder(folder)
    rows = list(items(source))
    values = _stuff_values(source.classes, names)
    for split in source.splits():
        writer = _Split(source, folder, split, names or {}, values)
        for item in rows:
            if item.split == split:
                writer.add(item)
        writer.finish()
    options: dict[str, Any] = {"root": str(folder), "splits": list(source.splits())}
    options["truth"] = "panoptic" if "panoptic" in source.tasks else "instances"
    ids = {item.image_id: f"{item.number:012d}" for item in rows}
    return finish(Exported("coco", options, folder, ids, LOSS), source)


def _stuff_values(classes: Sequence[ClassSpec], names: Mapping[str, str] | None) -> list[int] | None:
    """Return the value of each class in the pixel maps of COCO-Stuff; None if one has no name of theirs."""
    known = stored_values()
    try:
        positions = class_map(classes, list(known), names, form="coco")
    except DatasetError:
        return None
    return [list(known.values())[position] for position in positions]


class _Split:
    """The files of one split: images and maps as they come, JSON at the end."""

    def __init__(
        self, source: Dataset, folder: Path, split: str, names: Mapping[str, str], values: Sequence[int] | None
    ) -> None:
        self._source, self._folder, self._split, self._values = source, folder, split, values
        self._categories = _categories(source.classes, names)
        self._images: list[dict[str, Any]] = []
        self._instances: list[dict[str, Any]] = []
        self._panoptic: list[dict[str, Any]] = []
        self._stuff: list[dict[str, Any]] = []

    def add(self, item: Item) -> None:
        """Write the image and what lies in a file of its own; keep the rest."""
        name, size = f"{item.number:012d}", self._source.size(item.image_id)
        ground_truth = self._source.target(item.image_id)
        write_jpeg(self._folder / f"{self._split}2017" / f"{name}.jpg", self._source.image(item.image_id))
        row = {"id": item.number, "file_name": f"{name}.jpg", "height": size.height, "width": size.width}
        self._images.append(row)
        self._instances += _annotations(ground_truth, self._source, item.number, len(self._instances) + 1)
        labels = ground_truth.semantic.labels
        self._stuff += _stuff_annotations(labels, self._source.classes, item.number, len(self._stuff) + 1)
        if ground_truth.panoptic is not None:
            png = self._folder / "annotations" / f"panoptic_{self._split}2017" / f"{name}.png"
            self._panoptic.append(panoptic_row(ground_truth.panoptic, png, item.number))
        if self._values is not None:
            map_file = self._folder / "stuffthingmaps" / f"{self._split}2017" / f"{name}.png"
            write_png_file(map_file, mapped(labels, self._values, void=IGNORE_LABEL))

    def finish(self) -> None:
        """Write the JSON files."""
        self._write("instances", self._instances, [row for row in self._categories if row["isthing"]])
        stuff = [row for row in self._categories if not row["isthing"]]
        if stuff:
            other = {"id": len(self._categories) + 1, "name": "other", "supercategory": "other"}
            self._write("stuff", self._stuff, [*stuff, other])
        if self._panoptic:
            self._write("panoptic", self._panoptic, self._categories)

    def _write(self, kind: str, annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> None:
        path = self._folder / "annotations" / f"{kind}_{self._split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"images": self._images, "annotations": annotations, "categories": categories}
        path.write_text(json.dumps(document), encoding="utf-8")


def _annotations(ground_truth: GroundTruth, source: Dataset, number: int, first_id: int) -> list[dict[str, Any]]:
    objects = objects_of(ground_truth, source.classes, form="coco")
    rows = zip(objects.masks, objects.class_ids.tolist(), objects.crowd.tolist(), strict=True)
    return [
        _annotation(mask, annotation_id, number, class_id + 1, segmentation(mask, crowd=crowd), crowd=crowd)
        for annotation_id, (mask, class_id, crowd) in enumerate(rows, start=first_id)
    ]


def _stuff_annotations(
    labels: LabelMap, classes: Sequence[ClassSpec], number: int, first_id: int
) -> list[dict[str, Any]]:
    """Return one run-length mask for each kind of stuff, and one for all things together."""
    things = [class_id for class_id, spec in enumerate(classes) if spec.is_thing]
    masks = {class_id: labels == class_id for class_id, spec in enumerate(classes) if not spec.is_thing}
    masks[len(classes)] = np.isin(labels, things)
    present = [(class_id, mask) for class_id, mask in masks.items() if mask.any()]
    return [
        _annotation(mask, annotation_id, number, class_id + 1, segmentation(mask, crowd=True), crowd=False)
        for annotation_id, (class_id, mask) in enumerate(present, start=first_id)
    ]


def _annotation(
    mask: NDArray[np.bool_], annotation_id: int, image: int, category: int, drawn: object, *, crowd: bool
) -> dict[str, Any]:
    return {
        "id": annotation_id,
        "image_id": image,
        "category_id": category,
        "segmentation": drawn,
        "area": int(mask.sum()),
        "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
        "iscrowd": int(crowd),
    }


def segmentation(mask: NDArray[np.bool_], *, crowd: bool) -> list[list[int]] | dict[str, list[int]]:
    """Return polygons of an object, or run lengths of a crowd and of an object with a hole."""
    if not crowd:
        traced = outlines(mask)
        if traced.parts and not traced.holes:
            return [[coordinate for corner in part for coordinate in corner] for part in traced.parts]
    return {"counts": run_lengths(mask), "size": list(mask.shape)}


def panoptic_row(
    panoptic: Panoptic, png: Path, number: int | str, categories: Sequence[int] | None = None
) -> dict[str, Any]:
    """Write the PNG of an image and return its row in the JSON.

    Args:
        panoptic: Its segments; scores are written where they have any.
        categories: Category id of each class; None counts them from 1.

    Raises:
        DatasetError: If three bytes cannot hold a segment id.
    """
    ids = panoptic.segment_ids
    if ids.max(initial=0) > MAX_SEGMENT_ID:
        raise DatasetError(f"image {number} has a segment id above {MAX_SEGMENT_ID}, which three bytes cannot hold.")
    write_png_file(png, rgb_of_ids(ids))
    segments = []
    for segment in panoptic.segments:
        mask = (ids == segment.id).astype(np.uint8)
        segments.append(
            {
                "id": segment.id,
                "category_id": segment.class_id + 1 if categories is None else categories[segment.class_id],
                "area": int(mask.sum()),
                "bbox": list(cv2.boundingRect(mask)),
                "iscrowd": int(segment.crowd),
                **({} if segment.score is None else {"score": segment.score}),
            }
        )
    return {"image_id": number, "file_name": png.name, "segments_info": segments}


def _categories(classes: Sequence[ClassSpec], names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": names.get(c.name, c.name),
            "supercategory": "thing" if c.is_thing else "stuff",
            "isthing": int(c.is_thing),
            "color": list(c.colour),
        }
        for number, c in enumerate(classes, start=1)
    ]
