"""Write a data set as a Supervisely project: PNG images, meta.json, and a JSON file of bitmaps for each image.

Every split is a data set. Stuff comes first and void, as a class of that name, last: objects lie in
their order. A crowd is an object with the tag `crowd`. Bitmaps are PNGs with one transparent colour,
as Supervisely writes them, cut to the box around the object.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import LAYERS_LOSS, Layer, box_of, layers_of
from bench.data.exports._writing import Names, Written, encoded_png, exporter, items, write_png, write_text
from bench.dataset import Dataset
from bench.datasets.supervisely import CROWD

LOSS = LAYERS_LOSS


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    layers = layers_of(source, names, form="supervisely")
    ids = {}
    for item in items(source):
        name, size = f"{item.image_id}.png", source.size(item.image_id)
        base = folder / item.split
        write_png(base / "img" / name, source.image(item.image_id))
        objects = [
            _object(layer, number) for number, layer in enumerate(layers.of(source.target(item.image_id)), start=1)
        ]
        document = {"description": "", "tags": [], "size": size._asdict(), "objects": objects}
        write_text(base / "ann" / f"{name}.json", json.dumps(document))
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    write_text(folder / "meta.json", json.dumps(_meta(layers.labels, [*(c.colour for c in source.classes), (0, 0, 0)])))
    return ids, {**layers.options(), "splits": {split: [split] for split in source.splits()}}


def _object(layer: Layer, number: int) -> dict[str, Any]:
    left, top, width, height = box_of(layer.mask)
    data = bitmap_data(layer.mask[top : top + height, left : left + width])
    return {
        "id": number,
        "classTitle": layer.label,
        "description": "",
        "geometryType": "bitmap",
        "tags": [{"name": CROWD, "value": None}] if layer.crowd else [],
        "bitmap": {"data": data, "origin": [left, top]},
    }


def bitmap_data(mask: NDArray[np.bool_]) -> str:
    """Return a mask, bool, (H, W), as base64 of zlib of a PNG, opaque white in the mask and transparent elsewhere."""
    rgba = np.repeat(mask.astype(np.uint8)[..., None] * np.uint8(255), 4, axis=2)
    return base64.b64encode(zlib.compress(encoded_png(rgba))).decode("ascii")


def _meta(titles: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    return {
        "classes": [
            {"title": title, "shape": "bitmap", "color": "#{:02X}{:02X}{:02X}".format(*colour)}
            for title, colour in zip(titles, colours, strict=True)
        ],
        "tags": [{"name": CROWD, "value_type": "none", "color": "#FF0000"}],
        "projectType": "images",
    }
