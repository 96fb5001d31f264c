"""Write a data set as images, palette PNGs of class ids and classes.yaml, in one sub-folder for each split."""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.data.exports._classes import renamed
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.formats.image_files import write_indexed
from bench.data.formats.label_tables import palette_colour
from bench.dataset import Dataset
from bench.records import IGNORE_LABEL

LOSS = ("instances and segments: only the class of each pixel is kept",)


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    colours = [c.colour for c in source.classes]
    palette = [*colours, *(palette_colour(index) for index in range(len(colours), 256))]
    ids = {}
    for item in items(source):
        name = f"{item.split}/{item.image_id}.png"
        write_png(folder / "images" / name, source.image(item.image_id))
        write_indexed(folder / "masks" / name, source.target(item.image_id).semantic.labels, palette)
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    rows = [
        {"name": name, "value": value, "colour": list(c.colour), "thing": c.is_thing}
        for value, (name, c) in enumerate(zip(renamed(source, names), source.classes, strict=True))
    ]
    text = yaml.safe_dump({"classes": rows, "void": [IGNORE_LABEL]}, sort_keys=False, allow_unicode=True)
    write_text(folder / "classes.yaml", text)
    return ids, {"split_by": "folders"}
