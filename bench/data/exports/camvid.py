"""Write a data set as CamVid, the original variant: PNG images, RGB masks, label_colors.txt and lists of the splits.

Frames are called `export_f<number>`. Void is black.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.exports import Exported
from bench.data.exports._names import class_map
from bench.data.exports._writing import finish, items, new_folder, write_png_file
from bench.data.formats.label_tables import read_table, rgb_of
from bench.dataset import Dataset
from bench.datasets.camvid import IMAGES, MASKS, VOID_COLOUR

LOSS = ("instances and segments: only the class of each pixel is kept",)


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits; splits must be called train, val or test."""
    rows = read_table("camvid")
    positions = class_map(source.classes, [row["name"] for row in rows], names, form="camvid")
    new_folder(folder)
    colours = np.full((256, 3), VOID_COLOUR, dtype=np.uint8)
    colours[: len(positions)] = [rgb_of(rows[position]) for position in positions]
    ids: dict[str, str] = {}
    lists = dict.fromkeys(source.splits(), "")
    for item in items(source):
        name = ids[item.image_id] = f"export_f{item.number:05d}"
        lists[item.split] += f"{name}.png\n"
        write_png_file(folder / IMAGES / f"{name}.png", source.image(item.image_id))
        write_png_file(folder / MASKS / f"{name}_L.png", colours[source.target(item.image_id).semantic.labels])
    for split, text in lists.items():
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    table = [*((rgb_of(row), row["name"]) for row in rows), (VOID_COLOUR, "Void")]
    text = "".join(f"{r} {g} {b}\t{name}\n" for (r, g, b), name in sorted(table, key=lambda entry: entry[1].lower()))
    (folder / "label_colors.txt").write_text(text, encoding="utf-8")
    return finish(Exported("camvid", {"root": str(folder)}, folder, ids, LOSS), source)
