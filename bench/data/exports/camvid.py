"""Write a data set as CamVid, the original variant: PNG images, RGB masks, label_colors.txt and lists of the splits.

Frames are called `export_f<number>`. Void is black.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.exports._classes import class_map
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.formats.label_tables import read_table, rgb_of
from bench.dataset import Dataset
from bench.datasets.camvid import IMAGES, MASKS, VOID_COLOUR

LOSS = ("instances and segments: only the class of each pixel is kept",)


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; splits must be called train, val or test."""
    rows = read_table("camvid")
    positions = class_map(source.classes, [row["name"] for row in rows], names, form="camvid")
    colours = np.full((256, 3), VOID_COLOUR, dtype=np.uint8)
    colours[: len(positions)] = [rgb_of(rows[position]) for position in positions]
    ids: dict[str, str] = {}
    lists = dict.fromkeys(source.splits(), "")
    for item in items(source):
        name = ids[item.image_id] = f"export_f{item.number:05d}"
        lists[item.split] += f"{name}.png\n"
        write_png(folder / IMAGES / f"{name}.png", source.image(item.image_id))
        write_png(folder / MASKS / f"{name}_L.png", colours[source.target(item.image_id).semantic.labels])
    for split, text in lists.items():
        write_text(folder / f"{split}.txt", text)
    table = [*((rgb_of(row), row["name"]) for row in rows), (VOID_COLOUR, "Void")]
    text = "".join(f"{r} {g} {b}\t{name}\n" for (r, g, b), name in sorted(table, key=lambda entry: entry[1].lower()))
    write_text(folder / "label_colors.txt", text)
    return ids, {}
