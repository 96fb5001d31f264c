"""Write a data set as Cityscapes: images, label ids, instance ids of 16 bits, train ids, colours, panoptic files.

Images are called `export_<number>_000019`; `export` stands for the city. Written for each image:
leftImg8bit.png; gtFine_labelIds.png (void = 0, unlabeled); gtFine_instanceIds.png; gtFine_color.png;
and what cityscapesScripts makes of them for other readers: gtFine_labelTrainIds.png and
`gtFine/cityscapes_panoptic_<split>.json` with its folder. polygons.json is not written: its
polygons are drawn with their outlines and cannot give the same pixels.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import class_map, mapped, objects_of, rows_of
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.exports.coco import panoptic_row
from bench.data.formats.label_tables import read_table, rgb_of
from bench.dataset import Dataset, GroundTruth
from bench.datasets.cityscapes import PER_LABEL
from bench.records import IGNORE_LABEL
from bench.records.predictions import LabelMap, Panoptic, Segment

LOSS = (
    "where objects overlap, the later one is on top and the earlier one loses the pixels",
    "crowds of one class are one area",
    "an image may hold 1,000 objects of a class",
)
FRAME = 19


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; splits must be called train, val or test."""
    rows = [row for row in read_table("cityscapes") if row["train_id"] != str(IGNORE_LABEL)]
    positions = class_map(source.classes, [row["name"] for row in rows], names, form="cityscapes")
    label_ids = [int(rows[position]["id"]) for position in positions]
    ids: dict[str, str] = {}
    panoptic: dict[str, dict[str, list[Any]]] = {}
    for item in items(source):
        stem = ids[item.image_id] = f"export_{item.number:06d}_{FRAME:06d}"
        ground_truth = source.target(item.image_id)
        labels = mapped(ground_truth.semantic.labels, label_ids, void=0)
        values = _instance_values(ground_truth, labels, label_ids, source)
        city = folder / "gtFine" / item.split / "export"
        image = folder / "leftImg8bit" / item.split / "export" / f"{stem}_leftImg8bit.png"
        write_png(image, source.image(item.image_id))
        write_png(city / f"{stem}_gtFine_labelIds.png", labels)
        write_png(city / f"{stem}_gtFine_instanceIds.png", values)
        _write_derived(city / f"{stem}_gtFine", labels)
        png = folder / "gtFine" / f"cityscapes_panoptic_{item.split}" / f"{stem}_gtFine_panoptic.png"
        of_split = panoptic.setdefault(item.split, {"images": [], "annotations": [], "categories": _categories()})
        of_split["annotations"].append(_panoptic_row(png, stem, values))
        named = {"id": stem, "file_name": f"{stem}_gtFine_leftImg8bit.png"}
        of_split["images"].append({**named, "width": values.shape[1], "height": values.shape[0]})
    for split, document in panoptic.items():
        file = folder / "gtFine" / f"cityscapes_panoptic_{split}.json"
        write_text(file, json.dumps(document, sort_keys=True, indent=4))
    return ids, {}


def _instance_values(
    ground_truth: GroundTruth, labels: LabelMap, label_ids: Sequence[int], source: Dataset
) -> NDArray[np.uint16]:
    """Return the label, or label * 1000 + number of the object, uint16, (H, W)."""
    values = labels.astype(np.uint16)
    objects = objects_of(ground_truth, source.classes, form="cityscapes")
    count: Counter[int] = Counter()
    for mask, class_id, crowd in rows_of(objects):
        label = label_ids[class_id]
        if not crowd:
            values[mask & (labels == label)] = label * PER_LABEL + count[label]
            count[label] += 1
    return values


def _write_derived(start: Path, labels: LabelMap) -> None:
    """Train ids and colours, as `createTrainIdLabelImgs.py` and the original colour images have them."""
    rows = read_table("cityscapes")
    train_ids, colours = np.full(256, IGNORE_LABEL, np.uint8), np.zeros((256, 3), np.uint8)
    for row in rows:
        train_ids[int(row["id"])], colours[int(row["id"])] = int(row["train_id"]), rgb_of(row)
    write_png(start.with_name(f"{start.name}_labelTrainIds.png"), train_ids[labels])
    write_png(start.with_name(f"{start.name}_color.png"), colours[labels])


def _panoptic_row(png: Path, stem: str, values: NDArray[np.uint16]) -> dict[str, Any]:
    """Write the panoptic image and return its annotation, by the rules of `createPanopticImgs.py`."""
    rows = {int(row["id"]): row for row in read_table("cityscapes")}
    segments = []
    for value in np.unique(values).tolist():
        label = value if value < PER_LABEL else value // PER_LABEL
        if rows[label]["ignored"] == "0":
            segments.append(Segment(value, label, value < PER_LABEL and rows[label]["has_instances"] == "1"))
    ids = np.where(np.isin(values, [segment.id for segment in segments]), values, 0).astype(np.int32)
    return panoptic_row(Panoptic(ids, tuple(segments)), png, stem, range(len(rows)))


def _categories() -> list[dict[str, Any]]:
    return [
        {
            "id": int(row["id"]),
            "name": row["name"],
            "color": list(rgb_of(row)),
            "supercategory": row["category"],
            "isthing": int(row["has_instances"]),
        }
        for row in read_table("cityscapes")
        if row["ignored"] == "0"
    ]
