"""Frames of one film: images that are alike once one of them is moved by a little.

An image is averaged to 48 × 48 grey values, its frame. The displacement between two frames is where their phase
correlation peaks (Kuglin and Hines, 1975), to a fraction of a value, up to a sixth of the side. One is moved by
it, both are cut to what they share, and freed of noise and of light by a difference of Gaussians (1 and 3 values).
They are frames of one film if what is left correlates by at least `ALIKE` (0.97), or if it does so by
`ALIKE_PART` (0.985) in half of the parts of a 4 × 4 grid and by 0.9 in three quarters of them, where something moved
in front of a scene that stayed.

Of each image the `CANDIDATES` (3) others are compared whose 12 × 12 grey values correlate best with its own, so
that the costly part of the work grows with the number of images; of a film one of its frames is enough to tell.

The thresholds stand where these put them: textured scenes moved by 0.3 to 9 % of their width, 10 % lighter and stored
as JPEG of quality 60 correlate by 0.982 at least; neighbouring slices of `brain`, in different splits, by 0.962 at
most and 0.979 in the middle of their parts; different images of `shapes` by 0.59. Turned, mirrored and enlarged
frames are not found.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.duplicates import averaged

SIDE = 48
COARSE = 12
ENOUGH_PIXELS = 2 * SIDE
"""Pixels of the smaller side from which an image is averaged to a frame."""
MOST = SIDE // 6
ALIKE, ALIKE_PART, ALIKE_MOST, SHARE = 0.97, 0.985, 0.9, 0.75
PARTS = 4
CANDIDATES = 3
LEAST = 0.3
"""Correlation of 12 × 12 values below which two images are not compared."""
BLOCK = 2048
PAIRS = 2048

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Displaced:
    """Two images that are frames of one film, as positions in their lists.

    Attributes:
        down, right: Displacement from one to the other, in shares of height and width.
        alike: Correlation of what they share.
    """

    one: int
    other: int
    down: float
    right: float
    alike: float


def frame(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey values, uint8, (H, W), averaged to uint8, (48, 48)."""
    return averaged(grey, SIDE, ENOUGH_PIXELS)


def packed(values: NDArray[np.uint8]) -> str:
    """Return a frame as text."""
    return base64.b85encode(zlib.compress(values.tobytes(), 1)).decode()


def unpacked(text: str) -> NDArray[np.uint8]:
    """Return the frame of a text."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype=np.uint8).reshape(SIDE, SIDE)


def displaced_pairs(ones: Sequence[NDArray[np.uint8]], others: Sequence[NDArray[np.uint8]]) -> list[Displaced]:
    """Return for each of the first images the one of the second that is most surely of the same film, if there is one.

    Args:
        ones, others: Frames, each uint8, (48, 48).
    """
    if not ones or not others:
        return []
    first, second = np.stack(ones), np.stack(others)
    rows, columns = _candidates(first, second)
    best: dict[int, Displaced] = {}
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        moves = _displacements(first[rows[part]].astype(np.float32), second[columns[part]].astype(np.float32))
        for row, column, (down, right) in zip(rows[part].tolist(), columns[part].tolist(), moves.tolist(), strict=True):
            alike = _alike(first[row], second[column], down, right)
            if alike is not None and (row not in best or alike > best[row].alike):
                best[row] = Displaced(row, column, -down / SIDE, -right / SIDE, alike)
    return [best[row] for row in sorted(best)]


def _candidates(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return positions of the pairs that are compared."""
    wide, narrow = _coarse(second), min(CANDIDATES, len(second))
    rows, columns = [], []
    for start in range(0, len(first), BLOCK):
        alike = _coarse(first[start : start + BLOCK]) @ wide.T
        nearest = np.argpartition(-alike, narrow - 1, axis=1)[:, :narrow]
        row, at = np.nonzero(np.take_along_axis(alike, nearest, axis=1) >= LEAST)
        rows.append(start + row)
        columns.append(nearest[row, at])
    return np.concatenate(rows), np.concatenate(columns)


def _coarse(frames: NDArray[np.uint8]) -> Grey:
    """Return the unit vectors of 12 × 12 values, each less their mean, (N, 144); zeros for a flat image."""
    step = SIDE // COARSE
    values = frames.reshape(-1, COARSE, step, COARSE, step).mean(axis=(2, 4), dtype=np.float32).reshape(len(frames), -1)
    values -= values.mean(axis=1, keepdims=True)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _displacements(first: Grey, second: Grey) -> NDArray[np.float64]:
    """Return how far the second of each pair, (N, 48, 48), must move down and right to lie on the first, (N, 2)."""
    taper = np.hanning(SIDE + 2)[1:-1]
    window = np.outer(taper, taper).astype(np.float32)
    spectra = [np.fft.rfft2((g - g.mean(axis=(1, 2), keepdims=True)) * window) for g in (first, second)]
    cross = spectra[0] * spectra[1].conj()
    size = np.abs(cross)
    cross /= size + 1e-3 * size.mean(axis=(1, 2), keepdims=True) + 1e-6
    # The finest details are noise; without them the peak is round, and a parabola finds its top.
    cross *= np.exp(-(np.fft.fftfreq(SIDE)[:, None] ** 2 + np.fft.rfftfreq(SIDE) ** 2) / (2 * 0.15**2))
    correlation = np.fft.irfft2(cross, s=(SIDE, SIDE))
    near = np.arange(-MOST, MOST + 1)
    peak = correlation[:, near][:, :, near].reshape(len(first), -1).argmax(axis=1)
    down, right = near[peak // len(near)], near[peak % len(near)]
    at = np.arange(len(first))
    rows = [correlation[at, (down + step) % SIDE, right] for step in (-1, 0, 1)]
    columns = [correlation[at, down, (right + step) % SIDE] for step in (-1, 0, 1)]
    return np.stack([down + _top(*rows), right + _top(*columns)], axis=1)


def _top(before: NDArray[np.float64], here: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the parabola through three values at -1, 0, 1 is highest."""
    bend = before - 2 * here + after
    return np.where(bend < -1e-12, np.clip((before - after) / (2 * np.minimum(bend, -1e-12)), -0.5, 0.5), 0)


def _alike(one: NDArray[np.uint8], other: NDArray[np.uint8], down: float, right: float) -> float | None:
    """Return the correlation of two frames, one of them moved onto the other; None unless they are of one film."""
    moved = cv2.warpAffine(
        other.astype(np.float32), np.array([[1, 0, right], [0, 1, down]], dtype=np.float32), (SIDE, SIDE),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    shared = tuple(slice(int(np.ceil(max(by, 0))), SIDE + int(np.floor(min(by, 0)))) for by in (down, right))
    a, b = (_details(values)[shared] for values in (one.astype(np.float32), np.asarray(moved, dtype=np.float32)))
    whole = _correlation(a, b)
    if whole >= ALIKE:
        return whole
    parts = _parts(a, b)
    fits = len(parts) >= PARTS and np.median(parts) >= ALIKE_PART and (parts >= ALIKE_MOST).mean() >= SHARE
    return whole if fits else None


def _details(values: Grey) -> Grey:
    fine = cv2.GaussianBlur(values, (0, 0), 1)
    return np.asarray(fine - cv2.GaussianBlur(fine, (0, 0), 3), dtype=np.float32)


def _correlation(a: Grey, b: Grey) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-6 else 0.0


def _parts(a: Grey, b: Grey) -> NDArray[np.float64]:
    """Return correlations of the parts of a grid; flat ones, which say nothing, are left out."""
    found, flat = [], 0.05 * float((a * a).mean())
    for rows in np.array_split(np.arange(a.shape[0]), PARTS):
        for columns in np.array_split(np.arange(a.shape[1]), PARTS):
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            if max((a[part] ** 2).mean(), (b[part] ** 2).mean()) >= flat:
                found.append(_correlation(a[part], b[part]))
    return np.array(found)
