"""Holds what all exporters share: an empty folder, image files, and the parts of a ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.exports import Exported
from bench.data.formats.rasters import instances_from_panoptic
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec
from bench.records.predictions import Instances, LabelMap, RgbImage

JPEG_QUALITY = 95
JPEG_LOSS = f"images are JPEG of quality {JPEG_QUALITY}"


@dataclass(frozen=True)
class Item:
    """One image of the source; `number` counts from 1 over all splits."""

    image_id: str
    split: str
    number: int


def items(source: Dataset) -> Iterator[Item]:
    """Yield all images of a source, split by split."""
    pairs = [(image_id, split) for split in source.splits() for image_id in source.ids(split)]
    for number, (image_id, split) in enumerate(pairs, start=1):
        yield Item(image_id, split, number)


def new_folder(folder: Path) -> Path:
    """Make a folder for an export; raises `DatasetError` if it holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(
            f"{folder} is not empty, and an export overwrites nothing. Give a new folder, or empty this one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(exported: Exported, source: Dataset) -> Exported:
    """Write export.json beside the data and return what it tells of."""
    document = {
        "dataset": exported.dataset,
        "options": {**exported.options, "root": "."},
        "source": source.source,
        "licence": source.licence,
        "loss": list(exported.loss),
        "ids": dict(exported.ids),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (exported.folder / "export.json").write_text(text, encoding="utf-8")
    return exported


def objects_of(ground_truth: GroundTruth, classes: Sequence[ClassSpec], *, form: str) -> Instances:
    """True instances of things: those of the ground truth, or its panoptic segments of things.

    Raises:
        DatasetError: If the ground truth has neither.
    """
    if ground_truth.instances is not None:
        return ground_truth.instances
    if ground_truth.panoptic is None:
        raise DatasetError(
            f"{form}: the source has no instances, only classes of pixels, and this format is about objects. "
            "Export it as folder, voc or ade20k."
        )
    return instances_from_panoptic(ground_truth.panoptic, classes)


def mapped(labels: LabelMap, values: Sequence[int], *, void: int) -> NDArray[np.uint8]:
    """Return the value of each class id, uint8, (H, W); void pixels get `void`."""
    table = np.full(256, void, dtype=np.uint8)
    table[: len(values)] = values
    table[IGNORE_LABEL] = void
    return np.asarray(table[labels])


def write_jpeg(path: Path, image: RgbImage) -> None:
    """Write an image, uint8, (H, W, 3), RGB, as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def write_png_file(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write grey of 8 or 16 bits, (H, W), or RGB, uint8, (H, W, 3), as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".png", stored)[1].tobytes())
