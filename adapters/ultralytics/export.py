"""The data set in the framework's own format, and what that format loses.

Instances become one polygon a row, in fractions of the image. A polygon has no holes: they are
filled. An instance in several parts becomes one polygon whose parts are joined by bridges, as the
framework's own converter joins them. A crowd has no place in the format and is left out, and so is
an instance without three corners. Label maps are kept as PNG files and lose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.adapter import Split, TrainingData
from bench.records import IGNORE_LABEL, Size, TaskKind
from bench.records.png import write_png
from bench.records.predictions import Instances, LabelMap, RgbImage

GREY = 114
"""The padding has this grey value, as the framework pads."""

INSET = 0.01
"""Pixels between a polygon's corner and the side of its pixel; the framework cuts off what is behind the point."""

MIN_CORNERS = 3


@dataclass
class ExportCounts:
    """Instances of the training split, and how many of them the format changes.

    Attributes:
        instances: Instances found in the data set, crowds included.
        holes_filled: Instances with at least one hole.
        parts_bridged: Instances in more than one part.
        crowds_dropped: Instances left out because they are crowds.
        too_small: Instances left out because they have fewer than three corners.
    """

    instances: int = 0
    holes_filled: int = 0
    parts_bridged: int = 0
    crowds_dropped: int = 0
    too_small: int = 0

    def as_values(self) -> dict[str, float]:
        """Return the counts under the names of a `TrainingResult`, for example `export_holes_filled`."""
        return {f"export_{name}": float(count) for name, count in vars(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.instances} instances as polygons: {self.holes_filled} with holes that are filled, "
            f"{self.parts_bridged} in parts that are bridged, {self.crowds_dropped} crowds and "
            f"{self.too_small} of fewer than {MIN_CORNERS} corners left out"
        )


@dataclass(frozen=True)
class Exported:
    """A data set on disk.

    Attributes:
        yaml: The file that the framework's trainer is given.
        counts: Counts of the training split; zeros for label maps.
        sizes: Different image sizes of the training split.
    """

    yaml: Path
    counts: ExportCounts
    sizes: frozenset[Size]


def export(data: TrainingData, names: Sequence[str], class_ids: Sequence[int], folder: Path) -> Exported:
    """Write both splits below a folder.

    Args:
        data: The training split stands in for a validation split without images.
        names: Names of the network's classes.
        class_ids: Id in the task of each class of the network.
        folder: Gets `data.yaml`, `images/` and `labels/` or `masks/`; files there are overwritten.
    """
    network_ids = {task_id: i for i, task_id in enumerate(class_ids)}
    counts = ExportCounts()
    sizes = _write_split(data.train, data.task.kind, network_ids, folder, "train", counts)
    if len(data.val):
        _write_split(data.val, data.task.kind, network_ids, folder, "val", ExportCounts())
    description = {
        "path": str(folder.resolve()),
        "train": "images/train",
        "val": "images/val" if len(data.val) else "images/train",
        "names": dict(enumerate(names)),
        **({"masks_dir": "masks"} if data.task.kind == "semantic" else {}),
    }
    yaml = folder / "data.yaml"
    yaml.write_text(json.dumps(description), encoding="utf-8")  # JSON is YAML
    return Exported(yaml, counts, sizes)


def _write_split(
    split: Split, kind: TaskKind, network_ids: dict[int, int], folder: Path, name: str, counts: ExportCounts
) -> frozenset[Size]:
    labels = folder / ("masks" if kind == "semantic" else "labels") / name
    images = folder / "images" / name
    for needed in (labels, images):
        needed.mkdir(parents=True, exist_ok=True)
    sizes = set()
    for index in range(len(split)):
        image, stem = split.image(index), f"{index:06d}"
        sizes.add(Size(*image.shape[:2]))
        if kind == "semantic":
            image, label_map = padded_to_square(image, split.semantic(index))
            write_png(labels / f"{stem}.png", label_map)
        else:
            ground_truth = split.ground_truth(index)
            assert isinstance(ground_truth, Instances)
            (labels / f"{stem}.txt").write_text("\n".join(_rows(ground_truth, network_ids, counts)), encoding="utf-8")
        write_png(images / f"{stem}.png", np.ascontiguousarray(image))
    return frozenset(sizes)


def padded_to_square(image: RgbImage, labels: LabelMap) -> tuple[RgbImage, LabelMap]:
    """Return an image and its class ids, padded as a letterbox would be, with grey and void.

    The framework trains on squares, and would cut those of label maps out of the middle.
    """
    height, width = labels.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), GREY, dtype=np.uint8)
    void = np.full((side, side), IGNORE_LABEL, dtype=np.uint8)
    where = np.s_[top : top + height, left : left + width]
    square[where], void[where] = image, labels
    return square, void


def _rows(ground_truth: Instances, network_ids: dict[int, int], counts: ExportCounts) -> list[str]:
    """Return one line per instance: class, then x and y of each corner as fractions of the image."""
    rows = []
    size = np.array(ground_truth.size[::-1], dtype=np.float64)
    for mask, class_id, crowd in zip(ground_truth.masks, ground_truth.class_ids, ground_truth.crowd, strict=True):
        counts.instances += 1
        corners = None if crowd else polygon(mask, counts)
        counts.crowds_dropped += bool(crowd)
        if corners is not None:
            numbers = " ".join(f"{number:.8f}" for number in (corners / size).ravel())
            rows.append(f"{network_ids[int(class_id)]} {numbers}")
    return rows


def polygon(mask: NDArray[np.bool_], counts: ExportCounts) -> NDArray[np.float64] | None:
    """Return the outline of a mask as one polygon, x and y in pixels, (N, 2); None without three corners.

    The framework takes boxes from the corners and draws masks after cutting off what is behind the
    point, so the corners lie just inside the outer sides of their pixels: the box is that of the
    mask, and the drawn pixels are the mask's.
    """
    from ultralytics.data.converter import merge_multi_segment

    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        counts.too_small += 1
        return None
    is_part = hierarchy[0, :, 3] < 0  # a hole has a parent
    parts = [contour.reshape(-1, 2) for contour, outer in zip(contours, is_part, strict=True) if outer]
    if sum(len(part) for part in parts) < MIN_CORNERS:
        counts.too_small += 1
        return None
    counts.holes_filled += not is_part.all()
    counts.parts_bridged += len(parts) > 1
    flat: list[Any] = [part.ravel() for part in parts]  # arrays, where its hints say lists
    joined = parts[0] if len(parts) == 1 else np.concatenate(merge_multi_segment(flat))
    # From the low side of the lowest pixel to the high side of the highest.
    corners = joined.astype(np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    share = (corners - low) / np.maximum(high - low, 1)
    return np.asarray(corners + INSET + (1 - 2 * INSET) * share)
