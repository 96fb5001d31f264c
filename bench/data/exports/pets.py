"""Write a data set as Oxford-IIIT Pet: JPEG images, trimaps (1 pet, 2 background, 3 void) and lists.

Images are called `Export_<number>`; the capital stands for a cat, as do breed 1 and species 1.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.exports._classes import class_map, mapped
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_png, write_text
from bench.dataset import Dataset
from bench.datasets.pets import BACKGROUND, BORDER, PET

LOSS = (
    JPEG_LOSS,
    "two classes, pet and background; void becomes the border",
    "train and val are one list, of which the reader takes every tenth image as val",
)


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits: `test` as test, all others as trainval."""
    positions = class_map(source.classes, ("background", "pet"), names, form="pets")
    values = [(BACKGROUND, PET)[position] for position in positions]
    ids, lists = {}, {"trainval": "", "test": ""}
    for item in items(source):
        name = ids[item.image_id] = f"Export_{item.number}"
        lists["test" if item.split == "test" else "trainval"] += f"{name} 1 1 1\n"
        trimap = mapped(source.target(item.image_id).semantic.labels, values, void=BORDER)
        write_jpeg(folder / "images" / f"{name}.jpg", source.image(item.image_id))
        write_png(folder / "annotations" / "trimaps" / f"{name}.png", trimap)
    lists["list"] = "#Image CLASS-ID SPECIES BREED ID\n" + lists["trainval"] + lists["test"]
    for name, text in lists.items():
        write_text(folder / "annotations" / f"{name}.txt", text)
    return ids, {}
