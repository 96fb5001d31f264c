"""Makes an image the input of a network of one size, and brings its answers back; imports no torch.

A fit says what happens where the image has another size than the input:

* `stretch`: it is resized to it, whatever its shape.
* `letterbox`: it is resized with its own aspect ratio to the largest that the input holds, in the middle.
* `pad`: it keeps its size, or is made smaller with its own aspect ratio where the input cannot hold it, and lies at
  the top left.
* `crop`: it is resized with its own aspect ratio until it covers the input, which sees its middle; what lies outside
  has no answer.
* `tile`: it keeps its size, and is seen through windows of the input's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import LabelMap, RgbImage

Fit: TypeAlias = Literal["stretch", "letterbox", "pad", "crop", "tile"]
Interpolation: TypeAlias = Literal["auto", "nearest", "linear", "cubic", "area", "pil_linear", "pil_cubic"]
"""Ways to resize an image. `auto` is the mean of areas when both sides shrink, else linear; those of `pil_` are
Pillow's, which widens its kernel when it shrinks, as Hugging Face's preprocessors do."""

_BY_OPENCV = {
    "nearest": cv2.INTER_NEAREST_EXACT,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


@dataclass(frozen=True)
class Placement:
    """State where an image lies in the input of a network.

    Attributes:
        scaled: Size that the image was resized to.
        top, left: Position of the resized image's corner within the input, pixels; below 0 where it reaches beyond.
    """

    input: Size
    scaled: Size
    top: int = 0
    left: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether the resized image is all of the input."""
        return self.input == self.scaled

    @property
    def seen(self) -> tuple[slice, slice]:
        """Rows and columns of the input that show the image."""
        rows = slice(max(0, self.top), min(self.input.height, self.top + self.scaled.height))
        columns = slice(max(0, self.left), min(self.input.width, self.left + self.scaled.width))
        return rows, columns

    @property
    def unseen(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows above and below, columns left and right, of the resized image that the input does not show."""
        below = self.scaled.height + self.top - self.input.height
        right = self.scaled.width + self.left - self.input.width
        return (max(0, -self.top), max(0, below)), (max(0, -self.left), max(0, right))

    def without_answer(self, size: Size) -> NDArray[np.bool_] | None:
        """Return the pixels of the original image, bool (H, W), whose centre the input does not show, or None."""
        (above, below), (left, right) = self.unseen
        if not any((above, below, left, right)):
            return None
        rows = (np.arange(size.height) + 0.5) * self.scaled.height / size.height
        columns = (np.arange(size.width) + 0.5) * self.scaled.width / size.width
        shown_rows = (rows >= above) & (rows <= self.scaled.height - below)
        shown_columns = (columns >= left) & (columns <= self.scaled.width - right)
        return np.asarray(~(shown_rows[:, None] & shown_columns))


def place(image: Size, size: Size | None, fit: Fit) -> Placement:
    """Return where an image of a size lies in an input of another; None for `size` keeps the image's own.

    >>> place(Size(50, 100), Size(64, 64), "letterbox")
    Placement(input=Size(height=64, width=64), scaled=Size(height=32, width=64), top=16, left=0)
    >>> place(Size(50, 100), Size(64, 64), "crop")
    Placement(input=Size(height=64, width=64), scaled=Size(height=64, width=128), top=0, left=-32)
    >>> place(Size(50, 60), Size(64, 64), "pad").scaled
    Size(height=50, width=60)
    """
    if size is None or fit == "tile":
        return Placement(image, image)
    if fit == "stretch":
        return Placement(size, size)
    ratios = size.height / image.height, size.width / image.width
    scale = {"letterbox": min(ratios), "pad": min(1.0, *ratios), "crop": max(ratios)}[fit]
    scaled = Size(*(max(1, round(side * scale)) for side in image))
    if fit == "pad":
        return Placement(size, scaled)
    return Placement(size, scaled, (size.height - scaled.height) // 2, (size.width - scaled.width) // 2)


def fitted(image: RgbImage, placement: Placement, fill: Sequence[float], interpolation: Interpolation) -> RgbImage:
    """Return the input of a network, (h, w, C), of the type of the image.

    Args:
        image: uint8 or float32 of 0 to 255, (H, W, C).
        fill: Value of the input beside the image, a number of 0-255 for each channel.
    """
    resized = resized_image(image, placement.scaled, interpolation)
    if placement.is_whole:
        return resized
    canvas = np.empty((*placement.input, image.shape[2]), dtype=image.dtype)
    canvas[:] = np.rint(np.asarray(fill, dtype=np.float64))
    canvas[placement.seen] = _shown(resized, placement)
    return canvas


def fitted_labels(labels: LabelMap, placement: Placement) -> LabelMap:
    """Return class ids as `fitted` places their image, by nearest pixel centre; void beside the image."""
    resized = labels
    if labels.shape != tuple(placement.scaled):
        size = (placement.scaled.width, placement.scaled.height)
        # INTER_NEAREST is half a pixel off against bilinear images
        resized = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    if placement.is_whole:
        return resized
    canvas = np.full(tuple(placement.input), IGNORE_LABEL, dtype=np.uint8)
    canvas[placement.seen] = _shown(resized, placement)
    return canvas


def resized_image(image: RgbImage, size: Size, interpolation: Interpolation = "auto") -> RgbImage:
    """Return an image, uint8 or float32 (H, W, C), at a size."""
    if image.shape[:2] == tuple(size):
        return image
    if interpolation.startswith("pil_"):
        return _by_pillow(image, size, interpolation)
    if interpolation == "auto":
        shrinks = size.height <= image.shape[0] and size.width <= image.shape[1]
        interpolation = "area" if shrinks else "linear"
    resized = cv2.resize(image, (size.width, size.height), interpolation=_BY_OPENCV[interpolation])
    found = np.asarray(resized, dtype=image.dtype)
    return found if found.ndim == 3 else found[..., None]  # OpenCV drops the axis of one channel


def _by_pillow(image: RgbImage, size: Size, interpolation: Interpolation) -> RgbImage:
    from PIL import Image

    method = Image.Resampling.BILINEAR if interpolation == "pil_linear" else Image.Resampling.BICUBIC
    if image.shape[2] == 3 and image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((size.width, size.height), method))
    planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    return np.stack([np.asarray(plane.resize((size.width, size.height), method)) for plane in planes], axis=-1)


def restored(plane: NDArray[Any], placement: Placement, size: Size, method: int) -> NDArray[Any]:
    """Return an answer per pixel of the input, or of a coarser grid over it, (h, w), at the size of the original image.

    The method is OpenCV's name of the interpolation.
    """
    if not placement.is_whole:
        # At the size of the input: a cell of a coarser grid across the edge cannot be halved.
        at_input = _resized_plane(plane, placement.input, method)[placement.seen]
        plane = np.ascontiguousarray(np.pad(at_input, placement.unseen, mode="edge"))
    return _resized_plane(plane, size, method)


def grey(image: RgbImage) -> RgbImage:
    """Return the luma (ITU-R BT.601) of an RGB image, uint8 (H, W, 1), rounded as OpenCV and Pillow do."""
    if image.shape[2] != 3:
        raise BenchError(f"channels: gray is made of RGB images; this one has {image.shape[2]} channels")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), dtype=image.dtype)[..., None]


def _shown(resized: NDArray[Any], placement: Placement) -> NDArray[Any]:
    (above, below), (left, right) = placement.unseen
    return resized[above : resized.shape[0] - below, left : resized.shape[1] - right]


def _resized_plane(plane: NDArray[Any], size: Size, method: int) -> NDArray[Any]:
    if plane.shape == tuple(size):
        return plane
    return np.asarray(cv2.resize(plane, (size.width, size.height), interpolation=method))
