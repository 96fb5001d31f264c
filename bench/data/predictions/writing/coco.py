"""COCO results, `predictions.json`, with the ground truth that pycocotools compares them with, `ground_truth.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.rasters import text_of_run_lengths
from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.mask_runs import run_lengths
from bench.records.predictions import Instances

KIND: TaskKind = "instance"


def write(predicted: Predicted, folder: Path) -> list[str]:
    """Write both files; nothing is lost."""
    images, categories = predicted.image_rows(), predicted.category_rows()
    results: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row, (image_id, found) in zip(images, predicted, strict=True):
        ground_truth = predicted.ground_truth(image_id)
        assert isinstance(found, Instances)
        assert isinstance(ground_truth, Instances)
        for mask, class_id, score in zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True):
            results.append(
                {"image_id": row["id"], "category_id": categories[class_id]["id"], "score": score} | _drawn(mask)
            )
        for mask, class_id, crowd in zip(
            ground_truth.masks, ground_truth.class_ids.tolist(), ground_truth.crowd.tolist(), strict=True
        ):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": row["id"], "category_id": categories[class_id]["id"],
                 "iscrowd": int(crowd), "area": int(mask.sum())} | _drawn(mask)
            )  # fmt: skip
    things = [row for row in categories if row["isthing"]]
    document = {"images": images, "annotations": annotations, "categories": things}
    (folder / "ground_truth.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "predictions.json").write_text(json.dumps(results), encoding="utf-8")
    return []


def _drawn(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths as text, which pycocotools takes, and the box."""
    counts = text_of_run_lengths(run_lengths(mask))
    return {
        "segmentation": {"size": list(mask.shape), "counts": counts},
        "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
    }
