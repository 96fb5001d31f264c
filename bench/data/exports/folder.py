"""Write a data set as images, palette PNGs of class ids and classes.yaml, in one sub-folder for each split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from bench.data.exports import Exported
from bench.data.exports._writing import finish, items, new_folder, write_png_file
from bench.data.formats.image_files import write_indexed
from bench.data.formats.label_tables import palette_colour
from bench.dataset import Dataset
from bench.records import IGNORE_LABEL

LOSS = ("instances and segments: only the class of each pixel is kept",)


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits; `names` renames classes."""
    new_folder(folder)
    names = names or {}
    colours = [c.colour for c in source.classes]
    palette = [*colours, *(palette_colour(index) for index in range(len(colours), 256))]
    ids = {}
    for item in items(source):
        name = f"{item.split}/{item.image_id}.png"
        write_png_file(folder / "images" / name, source.image(item.image_id))
        write_indexed(folder / "masks" / name, source.target(item.image_id).semantic.labels, palette)
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    rows = [
        {"name": names.get(c.name, c.name), "value": value, "colour": list(c.colour), "thing": c.is_thing}
        for value, c in enumerate(source.classes)
    ]
    text = yaml.safe_dump({"classes": rows, "void": [IGNORE_LABEL]}, sort_keys=False, allow_unicode=True)
    (folder / "classes.yaml").write_text(text, encoding="utf-8")
    options = {"root": str(folder), "split_by": "folders"}
    return finish(Exported("folder", options, folder, ids, LOSS), source)
