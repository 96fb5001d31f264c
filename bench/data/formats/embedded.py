"""Pictures that annotations hold as text: unpacked and decoded within bounds that their image sets."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.formats.image_headers import FREE_PIXELS
from bench.records import Size
from bench.records.damage import IMAGE_DAMAGE
from bench.records.png import png_fault

LONGEST = 2**28
"""Bytes that a picture within an annotation may have."""
MOST_OF_IMAGE = 4
"""A mask within an annotation may have this many times the pixels of its image: what lies outside is cut off."""


def unpacked(content: bytes) -> bytes:
    """Return what zlib has packed; raises `ValueError` for what is damaged, or longer than `LONGEST`."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(content, LONGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {LONGEST} bytes")
    if not unpacker.eof:
        raise ValueError("it ends before what was packed does")
    return found


def decode_embedded(encoded: bytes, size: Size, flags: int) -> NDArray[Any]:
    """Decode a picture of which a mask is made.

    Args:
        encoded: Content of a PNG, or of another format that Pillow and OpenCV know.
        size: Size of the image that it belongs to, in pixels.

    Returns:
        Pixels as OpenCV has them, (h, w) or (h, w, channels).

    Raises:
        ValueError: If it is no picture, contradicts itself, or is far larger than its image.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
    except IMAGE_DAMAGE:
        raise ValueError("it holds no image") from None
    if width * height > max(FREE_PIXELS, MOST_OF_IMAGE * size.height * size.width):
        raise ValueError(f"its picture of {height} × {width} pixels is far larger than its image of {tuple(size)}")
    fault = png_fault(encoded)
    if fault is not None:
        raise ValueError(fault)
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), flags)
    except cv2.error as error:
        raise ValueError(error.err) from None
    if pixels is None:
        raise ValueError("its picture cannot be decoded")
    return np.asarray(pixels)
