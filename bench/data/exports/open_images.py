"""Write a data set as Open Images' object segmentations: JPEG images, a PNG for each object, and the CSV files.

Every class that an image has no object of is written as verified to be absent, so that the ground truth stays one of
images that were looked through for all classes. `val` becomes `validation`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import box_of, objects_of, renamed
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_png
from bench.dataset import Dataset
from bench.datasets.open_images import LABELS_CSV, MASKS_CSV, NAMES_CSV, SPLITS
from bench.errors import DatasetError
from bench.records import Size

LOSS = (
    JPEG_LOSS,
    "images without an object, and classes without one, are not listed",
    "crowds are objects like others",
    "stuff, void and panoptic segments: objects alone are kept",
)
MASK_COLUMNS = (
    "MaskPath", "ImageID", "LabelName", "BoxID", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax", "PredictedIoU", "Clicks",
)  # fmt: skip
LABEL_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    split_of = {split: "validation" if split in ("val", "valid") else split for split in source.splits()}
    other = [split for split, written in split_of.items() if written not in SPLITS]
    if other:
        raise DatasetError(
            f"open_images: it has the splits {', '.join(SPLITS)}; the source has {other[0]!r}. Give the source these "
            "splits, for example by split_by: fraction."
        )
    ids: dict[str, str] = {}
    used: set[int] = set()
    rows: dict[str, tuple[list[Sequence[object]], list[Sequence[object]]]] = {s: ([], []) for s in split_of.values()}
    for item in items(source):
        instances = objects_of(source.target(item.image_id), source.classes, form="open_images")
        split = split_of[item.split]
        seen = [n for n in range(len(instances.masks)) if instances.masks[n].any()]
        if not seen:
            continue
        write_jpeg(folder / split / f"{item.image_id}.jpg", source.image(item.image_id))
        for n in seen:
            class_id, mask = int(instances.class_ids[n]), instances.masks[n]
            name = f"{item.image_id}_{_label(class_id)[3:]}_{n:08x}.png"
            write_png(folder / f"{split}-masks" / name, mask.astype(np.uint8) * np.uint8(255))
            rows[split][0].append([name, item.image_id, _label(class_id), f"{n:08x}", *_box(mask), 1, ""])
        present = {int(instances.class_ids[n]) for n in seen}
        used |= present
        rows[split][1].extend(
            [item.image_id, "verification", _label(index), int(index in present)]
            for index in range(len(source.classes))
        )
        ids[item.image_id] = item.image_id
    for split, (masks, labels) in rows.items():
        if masks:
            _write(folder / MASKS_CSV.format(split), MASK_COLUMNS, masks)
            _write(folder / LABELS_CSV.format(split), LABEL_COLUMNS, labels)
    called = renamed(source, names)
    _write(folder / NAMES_CSV, ("LabelName", "DisplayName"), [[_label(i), called[i]] for i in range(len(called))])
    return ids, {"classes": [called[index] for index in sorted(used)]}


def _label(class_id: int) -> str:
    """Label of a class, of the form of Open Images' own."""
    return f"/m/b{class_id:04d}"


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of a mask, as shares of the image."""
    left, top, width, height = box_of(mask)
    size = Size(*mask.shape)
    return left / size.width, (left + width) / size.width, top / size.height, (top + height) / size.height


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
