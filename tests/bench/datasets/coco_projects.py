"""Small projects in COCO's format, as exporters of annotation tools write them: three splits of rectangles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.datasets.coco import Options, open_dataset
from bench.metric import load_metric
from bench.records.store.statistics import Collector

SIZE = (32, 48)
"""Height and width."""
LAYOUT = {"images": "{split}", "annotations": "annotations/{split}.json"}


def rectangle(left: int, top: int, width: int, height: int) -> list[list[float]]:
    """A polygon along pixel edges."""
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


def project(root: Path, change: Callable[[dict[str, Any]], None] = lambda _: None, images: int = 3) -> Path:
    """Write images and JSON of three splits; `change` is applied to each document."""
    (root / "annotations").mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test"), start=1):
        (root / split).mkdir()
        document: dict[str, Any] = {
            "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "rod"}],
            "images": [],
            "annotations": [],
        }
        for k in range(images):
            name, image_id = f"{split}_{k}.png", 100 * number + k
            pixels = np.random.default_rng(image_id).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            document["images"].append({"id": image_id, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
            for j in range(2):
                left, top = 3 + 20 * j + k, 4 + k
                document["annotations"].append(
                    {
                        "id": 10 * image_id + j,
                        "image_id": image_id,
                        "category_id": 1 + j,
                        "iscrowd": 0,
                        "bbox": [left, top, 12, 9],
                        "area": 108,
                        "segmentation": rectangle(left, top, 12, 9),
                    }
                )
        change(document)
        (root / "annotations" / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")
    return root


def each_annotation(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Apply a change to every annotation of a document."""

    def changed(document: dict[str, Any]) -> None:
        for row in document["annotations"]:
            change(row)

    return changed


def each_image(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Apply a change to the row of every image of a document."""

    def changed(document: dict[str, Any]) -> None:
        for row in document["images"]:
            change(row)

    return changed


def opened(root, **options):
    return open_dataset(Options(root=str(root), **LAYOUT, **options))


def sound(tmp_path):
    return opened(project(tmp_path / "sound"))


def same_objects(dataset, expected, split="test"):
    """Whether the objects of a split are those of another data set, image by image."""
    pairs = zip(dataset.ids(split), expected.ids(split), strict=True)
    for one, other in pairs:
        found, wanted = dataset.target(one).instances, expected.target(other).instances
        if not np.array_equal(found.masks, wanted.masks) or found.class_ids.tolist() != wanted.class_ids.tolist():
            return False
        if found.crowd.tolist() != wanted.crowd.tolist():
            return False
    return True


def average_precision(dataset, answer, split="test"):
    """AP of `answer(ground truth instances)` on a split."""
    metric, ids = load_metric("mask_ap"), dataset.ids(split)
    collector = Collector(len(ids))
    for number, image_id in enumerate(ids):
        ground_truth = dataset.target(image_id).instances
        collector.add("rows", number, metric.observe(ground_truth, answer(ground_truth), dataset.classes))
    return metric.score(collector.statistics(list(ids)).arrays["rows"], dataset.classes, seed=0).value


def official_precision(file, answers):
    """AP of pycocotools; `answers` are (image id, category id, mask, score)."""
    from pycocotools import mask as mask_codes
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    api = COCO(str(file))
    rows = [
        {
            "image_id": image_id,
            "category_id": category,
            "score": score,
            "segmentation": mask_codes.encode(np.asfortranarray(mask.astype(np.uint8))),
        }
        for image_id, category, mask, score in answers
    ]
    evaluation = COCOeval(api, api.loadRes(rows), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]
