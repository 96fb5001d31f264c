"""Sizes and channel order of what Detectron2's networks see."""

from __future__ import annotations

import numpy as np
from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
from numpy.typing import NDArray
from PIL import Image

from adapters._torch.images import resize_image
from adapters.detectron2.options import DetectronOptions
from bench.predictions import RgbImage
from bench.records import Size


def input_size(original: Size, image_size: Size | None, options: DetectronOptions) -> Size:
    """Size an image is fed at: `image_size` where there is one, else by the card's short edge."""
    if image_size is not None:
        return image_size
    if options.short_edge is None:
        return original
    longest = options.max_size if options.max_size is not None else 2**31
    height, width = ResizeShortestEdge.get_output_shape(*original, options.short_edge, longest)
    return Size(max(1, height), max(1, width))


def sized_image(image: RgbImage, image_size: Size | None, options: DetectronOptions) -> RgbImage:
    """Return an image, uint8 (H, W, 3), at its input size.

    To `image_size` as all torch adapters do; by the short edge as Detectron2 does, with Pillow.
    """
    size = input_size(Size(*image.shape[:2]), image_size, options)
    if image_size is not None or size == image.shape[:2]:
        return resize_image(image, size)
    resize = ResizeTransform(*image.shape[:2], *size, Image.BILINEAR)
    return np.asarray(resize.apply_image(np.ascontiguousarray(image)), dtype=np.uint8)


def as_channels(image: RgbImage, pixel_format: str) -> NDArray[np.uint8]:
    """Return a fresh array, uint8 (3, H, W), in the channel order `BGR` or `RGB`."""
    ordered = image[:, :, ::-1] if pixel_format == "BGR" else image
    return np.array(ordered.transpose(2, 0, 1), order="C", copy=True)


def nearest(maps: NDArray[np.generic], size: Size) -> NDArray[np.generic]:
    """Return maps (..., H, W) at another size by nearest pixel centre; no value is invented."""
    height, width = maps.shape[-2:]
    if (height, width) == tuple(size):
        return maps
    rows = ((np.arange(size.height) + 0.5) * height / size.height).astype(np.int64)
    columns = ((np.arange(size.width) + 0.5) * width / size.width).astype(np.int64)
    return maps[..., rows[:, None], columns[None, :]]
