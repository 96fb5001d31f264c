"""Write a data set as COCO: JPEG images, instances JSON, and panoptic JSON with PNGs where the source has segments.

As in COCO: file names of twelve digits; category ids from 1; polygons along pixel edges for objects,
run lengths (column-major, not compressed) for crowds. An object with a hole, which polygons cannot
hold, gets run lengths too, with `iscrowd` 0; pycocotools and this harness read that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.datasets import Dataset, Truth
from bench.errors import DatasetError
from bench.exports import Exported
from bench.exports._outlines import outlines
from bench.exports._writing import JPEG_LOSS, Item, finish, items, new_folder, objects_of, write_jpeg, write_png_file
from bench.predictions import Panoptic, run_lengths
from bench.records import ClassSpec

LOSS = (JPEG_LOSS, "instances alone say nothing of stuff and void; the panoptic files do")
MAX_SEGMENT_ID = 2**24 - 1


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits as `<split>2017`, instances always, panoptic where there is any; `names` renames classes."""
    new_folder(folder)
    rows = list(items(source))
    for split in source.splits():
        _write_split(source, [item for item in rows if item.split == split], folder, split, names or {})
    options: dict[str, Any] = {"root": str(folder), "splits": list(source.splits())}
    options["truth"] = "panoptic" if "panoptic" in source.tasks else "instances"
    ids = {item.image_id: f"{item.number:012d}" for item in rows}
    return finish(Exported("coco", options, folder, ids, LOSS), source)


def _write_split(source: Dataset, rows: Sequence[Item], folder: Path, split: str, names: Mapping[str, str]) -> None:
    images, panoptic = [], []
    annotations: list[dict[str, Any]] = []
    for item in rows:
        name, size = f"{item.number:012d}", source.size(item.image_id)
        truth = source.target(item.image_id)
        write_jpeg(folder / f"{split}2017" / f"{name}.jpg", source.image(item.image_id))
        images.append({"id": item.number, "file_name": f"{name}.jpg", "height": size.height, "width": size.width})
        annotations += _annotations(truth, source, item.number, len(annotations) + 1)
        if truth.panoptic is not None:
            png = folder / "annotations" / f"panoptic_{split}2017" / f"{name}.png"
            panoptic.append(_panoptic_row(truth.panoptic, png, item.number))
    things = [row for row in _categories(source.classes, names) if row["isthing"]]
    document: dict[str, Any] = {"images": images, "annotations": annotations, "categories": things}
    _write_json(folder / "annotations" / f"instances_{split}2017.json", document)
    if panoptic:
        document = {"images": images, "annotations": panoptic, "categories": _categories(source.classes, names)}
        _write_json(folder / "annotations" / f"panoptic_{split}2017.json", document)


def _annotations(truth: Truth, source: Dataset, number: int, first_id: int) -> list[dict[str, Any]]:
    objects = objects_of(truth, source.classes, form="coco")
    rows = zip(objects.masks, objects.class_ids.tolist(), objects.crowd.tolist(), strict=True)
    return [
        {
            "id": annotation_id,
            "image_id": number,
            "category_id": class_id + 1,
            "segmentation": segmentation(mask, crowd=crowd),
            "area": int(mask.sum()),
            "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
            "iscrowd": int(crowd),
        }
        for annotation_id, (mask, class_id, crowd) in enumerate(rows, start=first_id)
    ]


def segmentation(mask: NDArray[np.bool_], *, crowd: bool) -> list[list[int]] | dict[str, list[int]]:
    """Polygons of an object, or run lengths of a crowd and of an object with a hole."""
    traced = outlines(mask)
    if crowd or traced.holes or not traced.parts:
        return {"counts": run_lengths(mask), "size": list(mask.shape)}
    return [[coordinate for corner in part for coordinate in corner] for part in traced.parts]


def _panoptic_row(panoptic: Panoptic, png: Path, number: int) -> dict[str, Any]:
    ids = panoptic.segment_ids
    if ids.max(initial=0) > MAX_SEGMENT_ID:
        raise DatasetError(
            f"coco: image {number} has a segment id above {MAX_SEGMENT_ID}, which three bytes cannot hold."
        )
    write_png_file(png, np.stack([ids & 255, (ids >> 8) & 255, ids >> 16], axis=-1).astype(np.uint8))
    segments = []
    for segment in panoptic.segments:
        mask = (ids == segment.id).astype(np.uint8)
        segments.append(
            {
                "id": segment.id,
                "category_id": segment.class_id + 1,
                "area": int(mask.sum()),
                "bbox": list(cv2.boundingRect(mask)),
                "iscrowd": int(segment.crowd),
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


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
