"""Finds which images are the same, and which nearly so.

**Identical**: files of equal content (SHA-256), whatever their names; images that are not files, of
equal size and pixels. The same pixels in another format count as nearly identical.

**Nearly identical**: equal but for a new compression, another size, or a little more light. An
image is averaged to 9 × 9 grey values. Its difference hash says of each value whether its right and
its lower neighbour are brighter: 144 bits (Krawetz, "Kind of Like That", 2013, who has 64). Two
images count as nearly identical if at most `MAX_BITS` (24) of them differ and the 9 × 9 values, each
less its image's mean, differ by at most `MAX_RMS` (3) of 255 grey levels in the root mean square.
Each condition covers for the other: compression turns bits over where an image is flat, and flat
images of different scenes have similar values.

The thresholds stand where `shapes` and `brain` put them: copies of JPEG quality 40, of half and of
1.5 times the size, and with 12 more grey levels differ by up to 23 bits and mostly by less than 1.5
levels; different images of `shapes` by 35 bits and 6.9 levels at least, neighbouring blocks of brain
slices by 5 bits but 9.8 levels. Crops, rotated and mirrored copies are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records.predictions import RgbImage

GRID = 9
BITS = 2 * GRID * (GRID - 1)
ENOUGH = 4 * GRID
"""Pixels of the smaller side from which an image is averaged to a thumbnail; more add nothing."""

MAX_BITS = 24
MAX_RMS = 3.0
BLOCK = 2048
"""Images compared with as many others at a time, 16 MB."""
PAIRS = 65536


@dataclass(frozen=True)
class NearDuplicate:
    """Two images that are nearly identical, as positions in their lists.

    Attributes:
        bits: Bits of the difference hash that differ.
    """

    one: int
    other: int
    bits: int


def key_of_file(encoded: bytes) -> str:
    """Return the SHA-256 of the content of a file, in hex."""
    return hashlib.sha256(encoded).hexdigest()


def key_of_pixels(image: RgbImage) -> str:
    """Return the SHA-256 of size and pixels of an image that is no file, uint8, (H, W, 3), in hex."""
    sha = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}".encode())
    sha.update(np.ascontiguousarray(image).data)
    return sha.hexdigest()


def thumbnail(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey values, uint8, (H, W), averaged to uint8, (9, 9)."""
    return averaged(grey, GRID, ENOUGH)


def averaged(grey: NDArray[np.uint8], side: int, enough: int) -> NDArray[np.uint8]:
    """Grey values, uint8, (H, W), averaged to (side, side), of images larger than `enough` by halves at first."""
    # OpenCV averages squares of two pixels six times as fast as areas of any other size.
    while min(grey.shape) >= 2 * enough:
        height, width = grey.shape[0] // 2, grey.shape[1] // 2
        grey = np.asarray(cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def difference_bits(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return difference hashes, bool, (N, 144), of thumbnails, (N, 9, 9): are right and lower neighbours brighter."""
    right = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    lower = thumbnails[:, 1:, :] > thumbnails[:, :-1, :]
    return np.concatenate([right.reshape(len(thumbnails), -1), lower.reshape(len(thumbnails), -1)], axis=1)


def nearest_pairs(ones: Sequence[NDArray[np.uint8]], others: Sequence[NDArray[np.uint8]]) -> list[NearDuplicate]:
    """Return for each of the first images the nearest of the second that is nearly identical to it, if there is one.

    Args:
        ones, others: Thumbnails, each uint8, (9, 9).
    """
    if not ones or not others:
        return []
    one, other = np.stack(ones), np.stack(others)
    # Bits as -1 and 1: the scalar product is the number of equal ones less that of different ones.
    signs, other_signs = _signs(one), _signs(other)
    best: dict[int, tuple[int, float, int]] = {}
    for start in range(0, len(one), BLOCK):
        for begin in range(0, len(other), BLOCK):
            equal = signs[start : start + BLOCK] @ other_signs[begin : begin + BLOCK].T
            rows, columns = np.nonzero(equal >= BITS - 2 * MAX_BITS)
            apart = _rms(one[start + rows], other[begin + columns])
            for at in np.flatnonzero(apart <= MAX_RMS).tolist():
                row, column = int(rows[at]), int(columns[at])
                candidate = (round((BITS - float(equal[row, column])) / 2), float(apart[at]), begin + column)
                best[start + row] = min(best.get(start + row, candidate), candidate)
    return [NearDuplicate(one=row, other=other_row, bits=bits) for row, (bits, _, other_row) in sorted(best.items())]


def _signs(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.where(difference_bits(thumbnails), np.float32(1), np.float32(-1))


def _rms(ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the root mean square difference of pairs of thumbnails, (M, 9, 9), each less its mean."""
    apart = np.empty(len(ones), dtype=np.float32)
    for start in range(0, len(ones), PAIRS):  # flat images are candidates of each other, and can be many
        part = slice(start, start + PAIRS)
        difference = ones[part].astype(np.float32) - others[part].astype(np.float32)
        apart[part] = difference.std(axis=(1, 2))
    return apart
