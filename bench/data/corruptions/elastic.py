"""Elastic change: an image is sheared and warped by a smooth random field, and its ground truth alike.

Source: Simard, Steinkraus & Platt, ICDAR 2003, with the constants of Hendrycks & Dietterich, ICLR 2019
(`imagenet_c/corruptions.py`), in shares of the shorter side. Two departures: what lies outside is mirrored once for
shear and warp together; and the ground truth is moved with the image, pixel by pixel to the nearest, where theirs has
one label for the whole image.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.corruptions.moving import moved_ground_truth
from bench.dataset import GroundTruth
from bench.records import Size
from bench.records.predictions import RgbImage

NAME = "elastic_transform"
CONSTANTS = ((2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
"""For each severity the strength of the field, the sigma that smooths it, and how far corners move when sheared."""


class Warp(NamedTuple):
    """Source of each pixel.

    Attributes:
        x, y: Column and row, float32, (H, W).
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]


def warp(size: Size, severity: int, rng: np.random.Generator) -> Warp:
    """Draw a warp of an image of this size."""
    height, width = size
    side = min(size)
    strength, smooth, moved = (side * constant for constant in CONSTANTS[severity - 1])
    centre, third = np.array([width, height]) / 2, side / 3
    corners = (centre + third * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    shifted = corners + rng.uniform(-moved, moved, corners.shape).astype(np.float32)
    back = cv2.invertAffineTransform(cv2.getAffineTransform(corners, shifted))
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    fields = [_smooth(rng.uniform(-1, 1, (height, width)), smooth) * strength for _ in "xy"]
    x, y = columns + fields[0], rows + fields[1]
    return Warp(
        (back[0, 0] * x + back[0, 1] * y + back[0, 2]).astype(np.float32),
        (back[1, 0] * x + back[1, 1] * y + back[1, 2]).astype(np.float32),
    )


def warped_image(image: RgbImage, how: Warp) -> RgbImage:
    """Return an image, warped bilinearly; its type stays."""
    return np.asarray(cv2.remap(image, how.x, how.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), image.dtype)


def warped_ground_truth(ground_truth: GroundTruth, how: Warp) -> GroundTruth:
    """Return a ground truth as its image is warped."""
    return moved_ground_truth(ground_truth, lambda values, _: _nearest(values, how))


def _nearest(values: NDArray[Any], how: Warp) -> NDArray[Any]:
    """Take each pixel from the nearest one; what lies outside is mirrored at the edge pixel."""
    places = [_mirrored(np.rint(at).astype(np.int64), n) for at, n in ((how.y, len(values)), (how.x, values.shape[1]))]
    return np.ascontiguousarray(values[places[0], places[1]])


def _mirrored(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return places within 0 to `count` - 1, as OpenCV's BORDER_REFLECT_101 has them."""
    if count == 1:
        return np.zeros_like(places)
    period = 2 * (count - 1)
    within = places % period
    return np.minimum(within, period - within)


def _smooth(field: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Blur by a normal kernel that is cut at three standard deviations, or at the size of the field."""
    reach = min(int(3 * sigma + 0.5), min(field.shape) - 1)
    side = 2 * max(1, reach) + 1
    return np.asarray(cv2.GaussianBlur(field, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101))
