"""Makes what a prompted model is told of each object: a point or a box, from the ground truth by fixed rules.

The harness makes prompts, not the adapter: every model is told the same, and none sees a mask. Such
prompts are an oracle. Nobody has them for an image without its ground truth, so a score with them stands in
a table of its own and never beside a model that has to find the objects.

Coordinates are those of pixels: (x, y) is the middle of the pixel in column x and row y, so the first
pixel is (0, 0). An object is every pixel of its mask, however many parts it has.

* `point`: the pixel of the object that is farthest from every pixel that is not of it, where all
  pixels outside the image are not of it. Of several, the first one row by row from the top.
* `box`: the smallest rectangle with all its pixels: first column, first row, last column, last row.
* `centre`: the middle of that box, which may lie between pixels and outside of the object.

Source: the point is the one that Kirillov et al., Segment Anything, ICCV 2023, §7.1 and appendix D.1,
evaluate with (the maximum of the distance transform); the box is torchvision's `masks_to_boxes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records import PromptKind
from bench.records.predictions import PromptedMasks, RgbImage

PROMPT_RULES = 1
"""Raised whenever a rule changes a prompt; part of the content keys of prompted jobs."""


@dataclass(frozen=True)
class Prompts:
    """Hold what a model is told of the objects of one image, in the order of the objects.

    Attributes:
        kind: Rule that made them.
        xy: float64; a point (x, y) per object, shape (N, 2), or for `box` (left, top, right, bottom),
            shape (N, 4). Pixels of the original image; see the module's docstring.
    """

    kind: PromptKind
    xy: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.xy)


class PromptedImage(np.ndarray[tuple[int, ...], np.dtype[np.uint8]]):
    """An image, uint8 (H, W, 3), RGB, with the prompts of its objects.

    An array like any other image, so that whatever handles images handles it. A copy keeps the
    prompts; a part of another shape has none, because they are places in the whole image.

    Attributes:
        prompts: Prompts of its objects.
    """

    prompts: Prompts

    def __new__(cls, image: RgbImage, prompts: Prompts) -> PromptedImage:
        """Copy an image; the result owns its memory and leads to nothing else."""
        made = super().__new__(cls, image.shape, dtype=np.uint8)
        made[...] = image
        made.prompts = prompts
        return made

    def __array_finalize__(self, source: object) -> None:
        """Take over the prompts where the array is the whole image."""
        if isinstance(source, PromptedImage) and source.shape == self.shape and hasattr(source, "prompts"):
            self.prompts = source.prompts


def prompts_of(objects: PromptedMasks, kind: PromptKind) -> Prompts:
    """Return the prompts of the true objects of an image; raises `ShapeError` if an object has no pixel."""
    rule = _RULES[kind]
    empty = np.flatnonzero(~objects.masks.any(axis=(1, 2)))
    if len(empty):
        raise ShapeError(f"object {int(empty[0])} has no pixel to make a {kind} prompt from; leave empty masks out")
    places = [rule(mask) for mask in objects.masks]
    width = 4 if kind == "box" else 2
    return Prompts(kind, np.array(places, dtype=np.float64).reshape(len(places), width))


class _Box(NamedTuple):
    """First and last column and row of a mask."""

    left: int
    top: int
    right: int
    bottom: int


def _box(mask: NDArray[np.bool_]) -> _Box:
    left, top, across, down = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return _Box(left, top, left + across - 1, top + down - 1)


def _centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    box = _box(mask)
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def _innermost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Column and row of the pixel farthest from what is not of the mask."""
    box = _box(mask)
    part = mask[box.top : box.bottom + 1, box.left : box.right + 1]
    framed = np.pad(part.astype(np.uint8), 1)  # whatever surrounds the box, in the image or not, is not of the mask
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Squares of distances between pixels are whole numbers; rounded, equal distances are equal.
    squared = np.rint(distance.astype(np.float64) ** 2)
    row, column = divmod(int(squared.argmax()), part.shape[1])
    return box.left + column, box.top + row


_RULES: dict[PromptKind, Callable[[NDArray[np.bool_]], tuple[float, ...]]] = {
    "point": _innermost,
    "box": _box,
    "centre": _centre,
}
