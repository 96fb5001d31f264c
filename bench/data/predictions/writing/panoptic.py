"""Panoptic maps, `predictions.json` with PNGs in `predictions/`, and the ground truth for panopticapi beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data.exports.coco import panoptic_row
from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.predictions import Panoptic

KIND: TaskKind = "panoptic"


def write(predicted: Predicted, folder: Path) -> list[str]:
    """Write both JSON files and both folders of PNGs; nothing is lost."""
    images, categories = predicted.image_rows(), predicted.category_rows()
    rows: dict[str, list[dict[str, Any]]] = {"predictions": [], "ground_truth": []}
    for name in rows:
        (folder / name).mkdir()
    for image, (image_id, found) in zip(images, predicted, strict=True):
        for name, panoptic in (("predictions", found), ("ground_truth", predicted.ground_truth(image_id))):
            assert isinstance(panoptic, Panoptic)
            png = folder / name / f"{image_id}.png"
            rows[name].append(panoptic_row(panoptic, png, image["id"], [row["id"] for row in categories]))
    for name, its in rows.items():
        document = {"images": images, "annotations": its, "categories": categories}
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return []
