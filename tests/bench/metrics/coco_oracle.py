"""pycocotools on the same instances: the oracle of the instance metrics."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.records.predictions import Instances

NAMES = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""Of `COCOeval.stats`, in order."""


def run_lengths(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def evaluate(pairs: list[tuple[Instances, Instances]], class_ids, *, boxes: bool = False, most: int = 100) -> COCOeval:
    """Evaluate with `most` detections; `boxes` adds a `bbox` to each result, as some frameworks do."""
    images, annotations, results = [], [], []
    for image_id, (target, predicted) in enumerate(pairs, start=1):
        height, width = target.size
        images.append({"id": image_id, "height": height, "width": width})
        areas = target.masks.sum(axis=(1, 2)) if target.areas is None else target.areas
        for mask, class_id, crowd, area in zip(target.masks, target.class_ids, target.crowd, areas, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(class_id) + 1,
                    "iscrowd": int(crowd),
                    "area": float(area),
                    "bbox": [0, 0, 1, 1],
                    "segmentation": run_lengths(mask),
                }
            )
        for mask, class_id, score in zip(predicted.masks, predicted.class_ids, predicted.scores, strict=True):
            result = {"image_id": image_id, "category_id": int(class_id) + 1, "score": float(score)}
            result["segmentation"] = run_lengths(mask)
            if boxes:
                result["bbox"] = [float(v) for v in coco_mask.toBbox(result["segmentation"])]
            results.append(result)
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": int(c) + 1, "name": str(c)} for c in class_ids],
        }
        ground_truth.createIndex()
        found = ground_truth.loadRes(results) if results else COCO()
        if not results:
            found.dataset = {**ground_truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(ground_truth, found, "segm")
        evaluation.params.maxDets = sorted({min(count, most) for count in (1, 10, most)})
        evaluation.evaluate()
        evaluation.accumulate()
        if most == 100:  # it asks for three numbers of detections, of which one is 100
            evaluation.summarize()
    return evaluation


def figures(evaluation: COCOeval) -> dict[str, float | None]:
    """Name -> value, None for COCO's -1."""
    return {name: None if v == -1 else float(v) for name, v in zip(NAMES, evaluation.stats, strict=True)}


def capped_figures(evaluation: COCOeval) -> dict[str, float | None]:
    """Name -> value; `summarize` asks for 100 detections, whatever was set, so that it is read from the tables."""
    precision, recall, most = evaluation.eval["precision"], evaluation.eval["recall"], evaluation.params.maxDets
    tables = {"AP": precision[..., 0, -1], "AP50": precision[0, ..., 0, -1], "AP75": precision[5, ..., 0, -1]}
    for area, name in enumerate(("small", "medium", "large"), start=1):
        tables |= {f"AP_{name}": precision[..., area, -1], f"AR_{name}": recall[..., area, -1]}
    tables |= {f"AR_{count}": recall[..., 0, place] for place, count in enumerate(most)}
    return {name: float(t[t > -1].mean()) if (t > -1).any() else None for name, t in tables.items()}


def class_ap(evaluation: COCOeval, index: int) -> float | None:
    """AP of one category over all areas with 100 detections."""
    precision = evaluation.eval["precision"][:, :, index, 0, -1]
    return None if (precision == -1).all() else float(precision.mean())
