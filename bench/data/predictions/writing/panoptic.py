"""Panoptic maps, `predictions.json` with PNGs in `predictions/`, and the ground truth for panopticapi beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.png import write_png
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
            rows[name].append({"image_id": image["id"], "file_name": png.name, **_written(panoptic, png, categories)})
    for name, its in rows.items():
        document = {"images": images, "annotations": its, "categories": categories}
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return []


def _written(panoptic: Panoptic, png: Path, categories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ids = panoptic.segment_ids
    write_png(png, np.stack([ids & 255, (ids >> 8) & 255, ids >> 16], axis=-1).astype(np.uint8))
    infos = []
    for segment in panoptic.segments:
        mask = (ids == segment.id).astype(np.uint8)
        infos.append(
            {
                "id": segment.id,
                "category_id": categories[segment.class_id]["id"],
                "iscrowd": int(segment.crowd),
                "area": int(mask.sum()),
                "bbox": list(cv2.boundingRect(mask)),
                **({} if segment.score is None else {"score": segment.score}),
            }
        )
    return {"segments_info": infos}
