"""Write a data set as ADE20K SceneParse150: JPEG images and grey PNGs, 0 = void, class + 1 otherwise.

sceneCategories.txt is written with the scene `export` for every image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bench.data.exports import Exported
from bench.data.exports._names import class_map
from bench.data.exports._writing import JPEG_LOSS, finish, items, mapped, new_folder, write_jpeg, write_png_file
from bench.data.formats.label_tables import read_table
from bench.dataset import Dataset
from bench.datasets.ade20k import FOLDERS

LOSS = (
    JPEG_LOSS,
    "instances and segments: only the class of each pixel is kept",
    "only the splits train and val: SceneParse150 has no other with a ground truth",
)


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write the splits train and val."""
    positions = class_map(source.classes, [row["name"] for row in read_table("ade20k")], names, form="ade20k")
    new_folder(folder)
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
        write_png_file(folder / "annotations" / place / f"{name}.png", labels)
    (folder / "sceneCategories.txt").write_text("".join(f"{name} export\n" for name in ids.values()), encoding="utf-8")
    return finish(Exported("ade20k", {"root": str(folder)}, folder, ids, LOSS), source)
