"""Shifts in size: objects that are larger or smaller than those of the data set, in images of the same size.

The image is scaled about its centre together with its ground truth. `larger` shows the middle of it; `smaller` leaves a
rim of the image's mean colour, which is void: nothing there is scored. These are ours; the factors are chosen, not
published.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.corruptions.moving import moved_ground_truth
from bench.dataset import GroundTruth, Spacing
from bench.records.predictions import RgbImage

FACTORS = {
    "larger": (1.2, 1.4, 1.7, 2.0, 2.5),
    "smaller": (1 / 1.2, 1 / 1.4, 1 / 1.7, 1 / 2.0, 1 / 2.5),
}
"""Name -> factor of each severity."""


def scaled_image(image: RgbImage, factor: float) -> RgbImage:
    """Return an image scaled about its centre, of the same size and type."""
    smooth = cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
    rim = tuple(float(one) for one in image.mean(axis=(0, 1)))
    return np.asarray(_scaled(image, factor, smooth, rim), dtype=image.dtype)


def scaled_ground_truth(ground_truth: GroundTruth, factor: float) -> GroundTruth:
    """Return a ground truth as its image is scaled; the rim is void."""

    def move(values: NDArray[Any], rim: int) -> NDArray[Any]:
        stored = values.astype(np.uint8) if values.dtype == np.bool_ else values  # OpenCV resizes no bool
        return _scaled(stored, factor, cv2.INTER_NEAREST_EXACT, rim).astype(values.dtype)

    return moved_ground_truth(ground_truth, move, lambda spacing: scaled_spacing(spacing, factor))


def scaled_spacing(spacing: Spacing | None, factor: float) -> Spacing | None:
    """Return the distance of pixels after scaling."""
    return None if spacing is None else Spacing(spacing.row / factor, spacing.column / factor, spacing.slice)


def _scaled(values: NDArray[Any], factor: float, interpolation: int, rim: Any) -> NDArray[Any]:
    """Return the middle of a magnified array, or a reduced one with a rim of a value; the size stays."""
    height, width = values.shape[:2]
    if factor > 1:
        rows, columns = max(1, round(height / factor)), max(1, round(width / factor))
        top, left = (height - rows) // 2, (width - columns) // 2
        middle = np.ascontiguousarray(values[top : top + rows, left : left + columns])
        return np.asarray(cv2.resize(middle, (width, height), interpolation=interpolation))
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    found = np.empty_like(values)
    found[...] = np.asarray(rim).astype(values.dtype)
    top, left = (height - rows) // 2, (width - columns) // 2
    small = cv2.resize(np.ascontiguousarray(values), (columns, rows), interpolation=interpolation)
    found[top : top + rows, left : left + columns] = small
    return found
