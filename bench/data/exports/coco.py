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
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import box_of, class_map, mapped, objects_of, renamed, rows_of
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_png, write_text
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

Row: TypeAlias = dict[str, Any]


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits as `<split>2017`; `names` renames classes, for the pixel maps to those of COCO-Stuff."""
    values, all_items = _stuff_values(source.classes, names), list(items(source))
    for split in source.splits():
        images: list[Row] = []
        found: dict[str, list[Row]] = {"instances": [], "stuff": [], "panoptic": []}
        object_ids, stuff_ids = count(1), count(1)
        for item in all_items:
            if item.split != split:
                continue
            place, name = f"{split}2017", f"{item.number:012d}"
            size, ground_truth = source.size(item.image_id), source.target(item.image_id)
            write_jpeg(folder / place / f"{name}.jpg", source.image(item.image_id))
            images.append({"id": item.number, "file_name": f"{name}.jpg", "height": size.height, "width": size.width})
            labels = ground_truth.semantic.labels
            found["instances"] += _annotations(ground_truth, source, item.number, object_ids)
            found["stuff"] += _stuff_annotations(labels, source.classes, item.number, stuff_ids)
            if ground_truth.panoptic is not None:
                png = folder / "annotations" / f"panoptic_{place}" / f"{name}.png"
                found["panoptic"].append(panoptic_row(ground_truth.panoptic, png, item.number))
            if values is not None:
                write_png(folder / "stuffthingmaps" / place / f"{name}.png", mapped(labels, values, void=IGNORE_LABEL))
        for kind, categories in _categories(source, names).items():
            if found[kind] or kind != "panoptic":
                document = {"images": images, "annotations": found[kind], "categories": categories}
                write_text(folder / "annotations" / f"{kind}_{split}2017.json", json.dumps(document))
    ids = {item.image_id: f"{item.number:012d}" for item in all_items}
    return ids, {"splits": [*source.splits()], "truth": "panoptic" if "panoptic" in source.tasks else "instances"}


def _stuff_values(classes: Sequence[ClassSpec], names: Names) -> list[int] | None:
    """Return the value of each class in the pixel maps of COCO-Stuff; None if one has no name of theirs."""
    known = stored_values()
    try:
        positions = class_map(classes, list(known), names, form="coco")
    except DatasetError:
        return None
    return [list(known.values())[position] for position in positions]


def _categories(source: Dataset, names: Names) -> dict[str, list[Row]]:
    """Return kind of annotations -> its categories: things; stuff, if any, with one for all things; all."""
    every: list[Row] = [
        {
            "id": number,
            "name": name,
            "supercategory": "thing" if c.is_thing else "stuff",
            "isthing": int(c.is_thing),
            "color": list(c.colour),
        }
        for number, (name, c) in enumerate(zip(renamed(source, names), source.classes, strict=True), start=1)
    ]
    stuff = [row for row in every if not row["isthing"]]
    other: Row = {"id": len(every) + 1, "name": "other", "supercategory": "other"}
    things = [row for row in every if row["isthing"]]
    return {"instances": things, **({"stuff": [*stuff, other]} if stuff else {}), "panoptic": every}


def _annotations(ground_truth: GroundTruth, source: Dataset, image: int, ids: Iterator[int]) -> Iterator[Row]:
    for mask, class_id, crowd in rows_of(objects_of(ground_truth, source.classes, form="coco")):
        yield _annotation(mask, next(ids), image, class_id + 1, segmentation(mask, crowd=crowd), crowd=crowd)


def _stuff_annotations(labels: LabelMap, classes: Sequence[ClassSpec], image: int, ids: Iterator[int]) -> Iterator[Row]:
    """Yield one run-length mask for each kind of stuff, and one for all things together."""
    things = [class_id for class_id, spec in enumerate(classes) if spec.is_thing]
    masks = {class_id: labels == class_id for class_id, spec in enumerate(classes) if not spec.is_thing}
    masks[len(classes)] = np.isin(labels, things)
    for class_id, mask in masks.items():
        if mask.any():
            yield _annotation(mask, next(ids), image, class_id + 1, segmentation(mask, crowd=True), crowd=False)


def _annotation(mask: NDArray[np.bool_], number: int, image: int, category: int, drawn: object, *, crowd: bool) -> Row:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": drawn,
        "area": int(mask.sum()),
        "bbox": box_of(mask),
        "iscrowd": int(crowd),
    }


def segmentation(mask: NDArray[np.bool_], *, crowd: bool) -> list[list[int]] | dict[str, list[int]]:
    """Return polygons of an object, or run lengths of a crowd and of an object with a hole."""
    if not crowd:
        traced = outlines(mask)
        if traced.parts and not traced.holes:
            return [[coordinate for corner in part for coordinate in corner] for part in traced.parts]
    return {"counts": run_lengths(mask), "size": list(mask.shape)}


def panoptic_row(panoptic: Panoptic, png: Path, number: int | str, categories: Sequence[int] | None = None) -> Row:
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
    write_png(png, rgb_of_ids(ids))
    segments = []
    for segment in panoptic.segments:
        mask = ids == segment.id
        segments.append(
            {
                "id": segment.id,
                "category_id": segment.class_id + 1 if categories is None else categories[segment.class_id],
                "area": int(mask.sum()),
                "bbox": box_of(mask),
                "iscrowd": int(segment.crowd),
                **({} if segment.score is None else {"score": segment.score}),
            }
        )
    return {"image_id": number, "file_name": png.name, "segments_info": segments}
