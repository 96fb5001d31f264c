"""Write a data set for LabelMe: PNG images in a folder for each split, each with a JSON file of mask shapes.

Stuff comes first and void, as a label of that name, last, because later shapes lie on top. Objects are
shapes of their own. A mask shape is a PNG in base64 within its box, as LabelMe writes it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import LAYERS_LOSS, box_of, layers_of
from bench.data.exports._writing import Names, Written, encoded_png, exporter, items, write_png, write_text
from bench.dataset import Dataset

LOSS = (*LAYERS_LOSS, "crowds are objects like others")
VERSION = "5.5.0"


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    layers = layers_of(source, names, form="labelme")
    ids = {}
    for item in items(source):
        base = folder / item.split
        write_png(base / f"{item.image_id}.png", source.image(item.image_id))
        size = source.size(item.image_id)
        document: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [shape_of(layer.label, layer.mask) for layer in layers.of(source.target(item.image_id))],
            "imagePath": f"{item.image_id}.png",
            "imageData": None,
            "imageHeight": size.height,
            "imageWidth": size.width,
        }
        write_text(base / f"{item.image_id}.json", json.dumps(document))
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    return ids, {**layers.options(), "classes": [*layers.labels[:-1]]}


def shape_of(label: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask, bool, (H, W), as a shape."""
    left, top, width, height = box_of(mask)
    cut = mask[top : top + height, left : left + width].astype(np.uint8) * np.uint8(255)
    return {
        "label": label,
        "points": [[left, top], [left + width - 1, top + height - 1]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(encoded_png(cut)).decode("ascii"),
    }
