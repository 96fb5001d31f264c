"""Write a data set for Label Studio: PNG images, and tasks with a brush region for each object and piece of stuff.

Stuff comes first and void, as a label of that name, last, because later regions lie on top. Local files are named as
Label Studio's storage of local files has them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data.exports._classes import LAYERS_LOSS, layers_of
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.formats.drawn_shapes import brush_lengths
from bench.dataset import Dataset

LOSS = ("splits: they are dealt out again when it is read", *LAYERS_LOSS, "crowds are objects like others")


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    layers = layers_of(source, names, form="label_studio")
    ids: dict[str, str] = {}
    tasks = []
    for item in items(source):
        name = f"{item.split}__{item.image_id}.png"
        write_png(folder / "images" / name, source.image(item.image_id))
        size = source.size(item.image_id)
        regions: list[dict[str, Any]] = [
            {
                "id": f"{item.number}_{number}",
                "type": "brushlabels",
                "from_name": "tag",
                "to_name": "image",
                "original_width": size.width,
                "original_height": size.height,
                "image_rotation": 0,
                "value": {
                    "format": "rle",
                    "rle": brush_lengths(layer.mask),
                    "brushlabels": [layer.label],
                },
            }
            for number, layer in enumerate(layers.of(source.target(item.image_id)))
        ]
        tasks.append(
            {
                "id": item.number,
                "data": {"image": f"/data/local-files/?d=images/{name}"},
                "annotations": [{"id": item.number, "completed_by": 1, "was_cancelled": False, "result": regions}],
                "predictions": [],
            }
        )
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    write_text(folder / "project.json", json.dumps(tasks))
    return ids, {**layers.options(), "file": "project.json", "classes": [*layers.labels[:-1]]}
