"""PNG files of maps: written the same every time, and held against what they promise before they are decoded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records.damage import content_of

Pixels: TypeAlias = NDArray[Any]
"""Grey (H, W), uint8 or uint16, or RGB (H, W, 3), uint8."""

PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
"""Maps, whose rows resemble each other, are written as runs of what differs from the row above: fast, and small."""
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # older versions of OpenCV take each pixel's difference to the one on its left
    PNG_SETTINGS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> samples of a pixel."""

MOST_FOLD = 1100
"""Deflate makes at most 1032 bytes of one; some are for what stands around them."""


def png_fault(encoded: bytes) -> str | None:
    """Say why a PNG cannot be sound, by its chunks alone; None if it may be, or is no PNG."""
    if not encoded.startswith(SIGNATURE):
        return None
    place, data_bytes, needed = len(SIGNATURE), 0, 0
    while place + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, place)
        there = len(encoded) - place - 12
        if length > there:
            return f"its part {kind.decode('latin-1')!r} claims {length} bytes, of which {max(there, 0)} are there"
        if kind == b"IHDR":
            needed = _decoded_bytes(encoded[place + 8 : place + 8 + length])
        elif kind == b"IDAT":
            data_bytes += length
        elif kind == b"IEND":
            break
        place += 12 + length
    if needed > MOST_FOLD * data_bytes + 1024:
        return f"its {data_bytes} bytes of pixels cannot hold the {needed} that its size needs"
    return None


def _decoded_bytes(header: bytes) -> int:
    if len(header) < 10:
        return 0
    width, height, bits, colour = struct.unpack_from(">IIBB", header)
    return int(height * (1 + -(-width * bits * CHANNELS.get(colour, 1) // 8)))


def rgb_of_ids(ids: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Return ids of segments below 2^24, (H, W), as COCO has them in panoptic PNGs: R + 256 G + 65536 B, (H, W, 3)."""
    return np.stack([ids & 255, (ids >> 8) & 255, (ids >> 16) & 255], axis=-1).astype(np.uint8)


def write_png(path: Path, pixels: Pixels) -> None:
    """Write a grey (H, W) array, uint8 or uint16, or an RGB (H, W, 3) one, uint8, as PNG; see `encode_png`."""
    path.write_bytes(encode_png(pixels))


def encode_png(pixels: Pixels) -> bytes:
    """Encode a map, grey (H, W), uint8 or uint16, or RGB (H, W, 3), uint8, as PNG; the bytes are deterministic."""
    refusal = ShapeError(f"an array of shape {pixels.shape} and dtype {pixels.dtype} cannot be encoded as PNG")
    try:
        bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        done, encoded = cv2.imencode(".png", bgr, PNG_SETTINGS)
    except cv2.error:
        raise refusal from None
    if not done:
        raise refusal
    return encoded.tobytes()


def read_png(path: Path) -> Pixels:
    """Read a PNG as stored: grey (H, W), uint8 or uint16, or RGB (H, W, 3), uint8."""
    content = content_of(path)
    fault = png_fault(content)
    if fault is not None:
        raise ShapeError(f"{path} is not a readable PNG: {fault}; delete its job folder and run the suite again")
    encoded = np.frombuffer(content, dtype=np.uint8)
    # OpenCV refuses an empty buffer by an exception of its own, where it returns None for other damage.
    pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if pixels is None:
        raise ShapeError(f"{path} is not a readable PNG; delete its job folder and run the suite again")
    if pixels.ndim == 2:
        return np.asarray(pixels)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)
