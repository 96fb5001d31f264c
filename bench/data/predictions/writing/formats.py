"""Writers of predictions, one for each format: a function that writes all files and says what they could not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from bench.data.exports.coco import panoptic_row
from bench.data.formats.polygons import one_line, outlines
from bench.data.formats.rasters import text_of_run_lengths
from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.mask_runs import run_lengths
from bench.records.png import write_png
from bench.records.predictions import Instances, Panoptic, SemanticMap


def write_coco(predicted: Predicted, folder: Path) -> list[str]:
    """Write COCO results, and the ground truth that pycocotools compares them with; nothing is lost."""
    images, categories = predicted.image_rows(), predicted.category_rows()
    results: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row, (image_id, found) in zip(images, predicted, strict=True):
        ground_truth = predicted.ground_truth(image_id)
        assert isinstance(found, Instances)
        assert isinstance(ground_truth, Instances)
        for mask, class_id, score in zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True):
            results.append(_row(row["id"], categories[class_id]["id"], mask) | {"score": score})
        for mask, class_id, crowd in zip(
            ground_truth.masks, ground_truth.class_ids.tolist(), ground_truth.crowd.tolist(), strict=True
        ):
            further = {"id": len(annotations) + 1, "iscrowd": int(crowd), "area": int(mask.sum())}
            annotations.append(_row(row["id"], categories[class_id]["id"], mask) | further)
    things = [row for row in categories if row["isthing"]]
    _write_json(folder / "ground_truth.json", {"images": images, "annotations": annotations, "categories": things})
    _write_json(folder / "predictions.json", results)
    return []


def _row(image: int | str, category: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an object with its box and run lengths as text, which pycocotools takes."""
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": list(mask.shape), "counts": text_of_run_lengths(run_lengths(mask))},
        "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
    }


def write_panoptic(predicted: Predicted, folder: Path) -> list[str]:
    """Write a JSON and a folder of PNGs of the predictions, and of the ground truth; nothing is lost."""
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
        _write_json(folder / f"{name}.json", {"images": images, "annotations": its, "categories": categories})
    return []


def write_label_maps(predicted: Predicted, folder: Path) -> list[str]:
    """Write a PNG of class ids for each image, and their names in nnU-Net's `dataset.json`; nothing is lost.

    255 (65535 where there are more than 255 classes) names no class.
    """
    for image_id, found in predicted:
        assert isinstance(found, SemanticMap)
        write_png(folder / f"{image_id}.png", found.labels)
    labels = {spec.name: class_id for class_id, spec in enumerate(predicted.dataset.classes)}
    text = json.dumps({"labels": labels, "file_ending": ".png"}, indent=2, ensure_ascii=False)
    (folder / "dataset.json").write_text(f"{text}\n", encoding="utf-8")
    return []


def write_yolo(predicted: Predicted, folder: Path) -> list[str]:
    """Write YOLO's text files with confidences, and `data.yaml`; objects without a pixel cannot be held.

    Outlines run along the edges of pixels, those of parts and holes in one line, so that filling pixel centres by the
    even-odd rule gives the same mask. Programs that also paint the outline make masks half a pixel wider.
    """
    (folder / "labels").mkdir()
    things = [class_id for class_id, spec in enumerate(predicted.dataset.classes) if spec.is_thing]
    number_of = {class_id: number for number, class_id in enumerate(things)}
    empty = 0
    for image_id, found in predicted:
        assert isinstance(found, Instances)
        height, width = found.size
        lines = []
        for mask, class_id, score in zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True):
            corners = one_line(outlines(mask))
            if not corners or class_id not in number_of:
                empty += 1
                continue
            shares = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in corners)
            lines.append(f"{number_of[class_id]} {shares} {score!r}\n")
        (folder / "labels" / f"{image_id}.txt").write_text("".join(lines), encoding="utf-8")
    names = {number: predicted.dataset.classes[class_id].name for class_id, number in number_of.items()}
    text = yaml.safe_dump({"names": names}, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return [f"{empty} objects without a pixel or of stuff are left out"] if empty else []


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


class Format(NamedTuple):
    """A format: the form of the predictions that it holds, and what writes them, a sentence for each loss."""

    kind: TaskKind
    write: Callable[[Predicted, Path], list[str]]


FORMATS = {
    "coco": Format("instance", write_coco),
    "panoptic": Format("panoptic", write_panoptic),
    "png": Format("semantic", write_label_maps),
    "yolo": Format("instance", write_yolo),
}
