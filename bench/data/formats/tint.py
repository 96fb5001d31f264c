"""Class colours over an image, for every picture that shows predictions or annotations."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records import ClassSpec, void_id
from bench.records.predictions import RgbImage

OPACITY = 0.5
"""Share of a class's colour in a pixel that is tinted."""


def palette_of(classes: Sequence[ClassSpec]) -> NDArray[np.uint8]:
    """Return the colour of each class id, uint8, (void id + 1, 3); white where no class has the id."""
    palette = np.full((1 + void_id(len(classes)), 3), 255, dtype=np.uint8)
    palette[: len(classes)] = [spec.colour for spec in classes]
    return palette


def mixed(image: RgbImage, colours: NDArray[np.uint8], where: NDArray[np.bool_]) -> RgbImage:
    """Return an image half in the colours given for each pixel, both (H, W, 3), wherever `where`, (H, W), is true."""
    painted = image.copy()
    cv2.copyTo(cv2.addWeighted(image, 1 - OPACITY, colours, OPACITY, 0), where.view(np.uint8), painted)
    return painted


def rims(ids: NDArray[np.generic], *, thin: bool) -> NDArray[np.bool_]:
    """Return pixels of a map, (H, W), whose left or upper neighbour has another id; unless `thin`, any of the four."""
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    found = np.zeros(ids.shape, dtype=np.bool_)
    found[:, 1:] |= across
    found[1:] |= down
    if not thin:
        found[:, :-1] |= across
        found[:-1] |= down
    return found
