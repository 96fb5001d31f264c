"""Write a data set as ADE20K SceneParse150: JPEG images and grey PNGs, 0 = void, class + 1 otherwise.

sceneCategories.txt is written with the scene `export` for every image.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bench.data.exports._classes import class_map, mapped
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_png, write_text
from bench.data.formats.label_tables import read_table
from bench.dataset import Dataset
from bench.datasets.ade20k import FOLDERS

LOSS = (
    JPEG_LOSS,
    "instances and segments: only the class of each pixel is kept",
    "only the splits train and val: SceneParse150 has no other with a ground truth",
)


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write the splits train and val."""
    positions = class_map(source.classes, [row["name"] for row in read_table("ade20k")], names, form="ade20k")
    ids: dict[str, str] = {}
    count: Counter[str] = Counter()
    for item in items(source):
        if item.split not in FOLDERS:
            continue
        count[item.split] += 1
        name = ids[item.image_id] = f"ADE_{item.split}_{count[item.split]:08d}"
        place = FOLDERS[item.split]
        labels = mapped(source.target(item.image_id).semantic.labels, [position + 1 for position in positions], void=0)
        write_jpeg(folder / "images" / place / f"{name}.jpg", source.image(item.image_id))
        write_png(folder / "annotations" / place / f"{name}.png", labels)
    write_text(folder / "sceneCategories.txt", "".join(f"{name} export\n" for name in ids.values()))
    return ids, {}
