"""Write a data set as dataset dicts of Detectron2: PNG images, one JSON list for each split, metadata.json.

All classes are one label space, listed as thing_classes and as stuff_classes, as Detectron2 has it for
panoptic models; thing_dataset_id_to_contiguous_id says which are things. So a dict can hold every ground truth that
the source has: annotations, sem_seg_file_name, and pan_seg_file_name with segments_info. Boxes are XYWH_ABS;
run lengths are text, as Detectron2 decodes them. Paths are relative to the folder; Detectron2 itself takes
them from where it is started.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data.exports._classes import box_of, objects_of, renamed, rows_of
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.exports.coco import panoptic_row, segmentation
from bench.data.formats.rasters import text_of_run_lengths
from bench.dataset import Dataset, GroundTruth
from bench.records import IGNORE_LABEL

LOSS = ("instances alone say nothing about stuff and void; the maps do",)
XYWH_ABS = 1


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    dicts: dict[str, list[dict[str, Any]]] = {split: [] for split in source.splits()}
    ids = {}
    for item in items(source):
        name = f"{item.split}/{item.image_id}.png"
        write_png(folder / "images" / name, source.image(item.image_id))
        ground_truth, size = source.target(item.image_id), source.size(item.image_id)
        record: dict[str, Any] = {"file_name": f"images/{name}", **size._asdict(), "image_id": item.number}
        if "semantic" in source.tasks:
            write_png(folder / "sem_seg" / name, ground_truth.semantic.labels)
            record["sem_seg_file_name"] = f"sem_seg/{name}"
        if ground_truth.panoptic is not None:
            row = panoptic_row(ground_truth.panoptic, folder / "pan_seg" / name, item.number)
            record["pan_seg_file_name"] = f"pan_seg/{name}"
            for segment in row["segments_info"]:
                segment["category_id"] -= 1
                segment["isthing"] = source.classes[segment["category_id"]].is_thing
            record["segments_info"] = row["segments_info"]
        if ground_truth.instances is not None or ground_truth.panoptic is not None:
            record["annotations"] = _annotations(ground_truth, source)
        dicts[item.split].append(record)
        ids[item.image_id] = f"images__{item.split}__{item.image_id}"
    for split, records in dicts.items():
        write_text(folder / f"{split}.json", json.dumps(records))
    write_text(folder / "metadata.json", json.dumps(_metadata(source, names), indent=1))
    kinds = {"panoptic": "panoptic", "instance": "instances", "semantic": "semantic"}
    ground_truth_kind = next(kind for task, kind in kinds.items() if task in source.tasks)
    return ids, {"splits": [*source.splits()], "truth": ground_truth_kind}


def _annotations(ground_truth: GroundTruth, source: Dataset) -> list[dict[str, Any]]:
    objects = objects_of(ground_truth, source.classes, form="detectron2")
    annotations = []
    for mask, class_id, crowd in rows_of(objects):
        drawn: Any = segmentation(mask, crowd=crowd)
        if isinstance(drawn, dict):
            drawn = {"size": drawn["size"], "counts": text_of_run_lengths(drawn["counts"])}
        annotations.append(
            {
                "bbox": box_of(mask),
                "bbox_mode": XYWH_ABS,
                "category_id": class_id,
                "segmentation": drawn,
                "iscrowd": int(crowd),
            }
        )
    return annotations


def _metadata(source: Dataset, names: Names) -> dict[str, Any]:
    classes = renamed(source, names)
    colours = [list(spec.colour) for spec in source.classes]
    return {
        "thing_classes": classes,
        "stuff_classes": classes,
        "thing_colors": colours,
        "stuff_colors": colours,
        "thing_dataset_id_to_contiguous_id": {
            str(index + 1): index for index, spec in enumerate(source.classes) if spec.is_thing
        },
        "ignore_label": IGNORE_LABEL,
    }
