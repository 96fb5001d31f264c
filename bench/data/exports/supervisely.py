"""Write a data set as a Supervisely project: PNG images, meta.json, and a JSON file of bitmaps for each image.

Every split is a data set. Stuff comes first and void, as a class of that name, last: objects lie in
their order. A crowd is an object with the tag `crowd`. Bitmaps are PNGs with one transparent colour,
as Supervisely writes them, cut to the box around the object.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.exports import Exported
from bench.data.exports._layers import layers_of
from bench.data.exports._writing import finish, items, new_folder, write_png_file
from bench.dataset import Dataset
from bench.datasets.supervisely import CROWD

LOSS = (
    "panoptic segments: objects and the class of each pixel are kept",
    "where objects overlap, the smaller one is on top in the map of classes",
)


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits; `names` renames classes."""
    new_folder(folder)
    layers = layers_of(source, names, form="supervisely")
    ids = {}
    for item in items(source):
        name, size = f"{item.image_id}.png", source.size(item.image_id)
        base = folder / item.split
        write_png_file(base / "img" / name, source.image(item.image_id))
        objects = [
            _object(layers.labels[layer.label], layer.mask, number, crowd=layer.crowd)
            for number, layer in enumerate(layers.of(source.target(item.image_id)), start=1)
        ]
        document = {"description": "", "tags": [], "size": size._asdict(), "objects": objects}
        _write(base / "ann" / f"{name}.json", document)
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    _write(folder / "meta.json", _meta(layers.labels, [*(c.colour for c in source.classes), (0, 0, 0)]))
    splits: dict[str, JsonValue] = {split: [split] for split in source.splits()}
    options: dict[str, JsonValue] = {**layers.options(folder), "splits": splits}
    return finish(Exported("supervisely", options, folder, ids, LOSS), source)


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
    """Return a mask, bool, (H, W), as base64 of zlib of a PNG that is opaque white in the mask and transparent
    elsewhere.
    """
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
