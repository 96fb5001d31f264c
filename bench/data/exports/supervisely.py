"""Write a data set as a Supervisely project: PNG images, meta.json, and a JSON file of bitmaps for each image.

Every split is a data set. Stuff comes first and void, as a class of that name, last: objects lie in
their order. A crowd is an object with the tag `crowd`. Bitmaps are PNGs with one transparent colour,
as Supervisely writes them, cut to the box around the object.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.exports import Exported
from bench.data.exports._writing import finish, items, new_folder, objects_of, write_png_file
from bench.dataset import Dataset, GroundTruth
from bench.datasets.supervisely import CROWD
from bench.records import IGNORE_LABEL, ClassSpec

LOSS = (
    "panoptic segments: objects and the class of each pixel are kept",
    "where objects overlap, the smaller one is on top in the map of classes",
)
VOID = "void"


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits; `names` renames classes."""
    new_folder(folder)
    titles = [(names or {}).get(spec.name, spec.name) for spec in source.classes]
    void = VOID
    while void in titles:
        void += "_"
    with_objects = bool({"instance", "panoptic"} & set(source.tasks))
    ids = {}
    for item in items(source):
        name, size = f"{item.image_id}.png", source.size(item.image_id)
        base = folder / item.split
        write_png_file(base / "img" / name, source.image(item.image_id))
        truth = source.target(item.image_id)
        objects = [
            _object([*titles, void][position], mask, number, crowd=crowd)
            for number, (position, mask, crowd) in enumerate(_layers(truth, source.classes, with_objects), start=1)
        ]
        document = {"description": "", "tags": [], "size": size._asdict(), "objects": objects}
        _write(base / "ann" / f"{name}.json", document)
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    _write(folder / "meta.json", _meta([*titles, void], [*(c.colour for c in source.classes), (0, 0, 0)]))
    stuff: list[JsonValue] = [t for t, spec in zip(titles, source.classes, strict=True) if not spec.is_thing]
    splits: dict[str, JsonValue] = {split: [split] for split in source.splits()}
    options: dict[str, JsonValue] = {
        "root": str(folder),
        "background": None,
        "void": [void],
        "stuff": stuff,
        "splits": splits,
    }
    return finish(Exported("supervisely", options, folder, ids, LOSS), source)


def _layers(
    truth: GroundTruth, classes: Sequence[ClassSpec], with_objects: bool
) -> Iterator[tuple[int, NDArray[np.bool_], bool]]:
    """Class, mask and crowd of everything in an image from the bottom to the top; void has the class after the last."""
    labels = truth.semantic.labels
    for class_id, spec in enumerate(classes):
        if (not spec.is_thing or not with_objects) and (labels == class_id).any():
            yield class_id, labels == class_id, False
    if with_objects:
        objects = objects_of(truth, classes, form="supervisely")
        areas = objects.masks.sum(axis=(1, 2)).tolist()
        for index in sorted(range(len(areas)), key=lambda i: (not objects.crowd[i], -areas[i])):
            if areas[index]:
                yield int(objects.class_ids[index]), objects.masks[index], bool(objects.crowd[index])
    if (labels == IGNORE_LABEL).any():
        yield len(classes), labels == IGNORE_LABEL, False


def _object(title: str, mask: NDArray[np.bool_], number: int, *, crowd: bool) -> dict[str, Any]:
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    data = bitmap_data(mask[top : top + height, left : left + width])
    return {
        "id": number,
        "classTitle": title,
        "description": "",
        "geometryType": "bitmap",
        "tags": [{"name": CROWD, "value": None}] if crowd else [],
        "bitmap": {"data": data, "origin": [left, top]},
    }


def bitmap_data(mask: NDArray[np.bool_]) -> str:
    """A mask, bool, (H, W), as base64 of zlib of a PNG that is opaque white in the mask and transparent elsewhere."""
    rgba = np.repeat(mask.astype(np.uint8)[..., None] * np.uint8(255), 4, axis=2)
    return base64.b64encode(zlib.compress(cv2.imencode(".png", rgba)[1].tobytes())).decode("ascii")


def _meta(titles: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    return {
        "classes": [
            {"title": title, "shape": "bitmap", "color": "#{:02X}{:02X}{:02X}".format(*colour)}
            for title, colour in zip(titles, colours, strict=True)
        ],
        "tags": [{"name": CROWD, "value_type": "none", "color": "#FF0000"}],
        "projectType": "images",
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
