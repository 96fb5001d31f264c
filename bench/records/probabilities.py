"""Probabilities of each class and pixel, kept beside a prediction: bytes, with the error that this makes stated.

They are stored as one grey PNG for each image, the maps of the classes one below the other in the order of the classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records.base import Size
from bench.records.png import read_png, write_png

LEVELS = 256
"""Values that a stored probability can have: 0 / 255, 1 / 255, … 1."""

QUANTISATION_ERROR = 0.5 / (LEVELS - 1)
"""A stored probability differs from that of the model by at most this, 0.00196."""

MOST_PIXELS, MOST_ROWS = 2**30, 2**20
"""Most pixels and most rows of a stored image; larger ones are not read back."""

_SLACK = 1e-3
"""Sums of float16 probabilities may lie so far outside 0 to 1; they are cut off."""


@dataclass(frozen=True)
class ClassProbabilities:
    """Probability that a model gives each class at each pixel.

    Attributes:
        levels: uint8, shape (K, H, W); the probability is the level / 255. They sum to about 255 over the classes for a
            softmax, to anything where each class is a question of its own.
    """

    levels: NDArray[np.uint8]

    @property
    def size(self) -> Size:
        """Size of the image."""
        return Size(*self.levels.shape[1:])

    @property
    def values(self) -> NDArray[np.float32]:
        """Probabilities, 0 to 1, shape (K, H, W)."""
        return self.levels.astype(np.float32) / np.float32(LEVELS - 1)

    def content_hash(self) -> str:
        """SHA-256 over shape and levels, in hex."""
        sha = hashlib.sha256(f"{self.levels.shape}".encode())
        sha.update(np.ascontiguousarray(self.levels).tobytes())
        return sha.hexdigest()


def quantised(
    values: NDArray[np.floating], *, num_classes: int, size: Size, image_id: str, model: str
) -> ClassProbabilities:
    """Return probabilities rounded to the nearest of 256 levels.

    Args:
        values: Probabilities that `Adapter.probabilities` returned for one image, (K, H, W), 0 to 1.
        num_classes: Number of classes, K.
        size: Original size of the image.
        image_id, model: Id of the image and label of the model, for messages.

    Raises:
        ShapeError: If they are of another shape, not numbers, or no probabilities.
    """
    where = f"{model} returned for image {image_id!r}, which is {tuple(size)},"
    rule = "probabilities() must return floats from 0 to 1 at the original size. See adapters/README.md."
    if type(values) is not np.ndarray or not np.issubdtype(values.dtype, np.floating):
        raise ShapeError(f"{where} probabilities as {getattr(values, 'dtype', type(values).__name__)}; {rule}")
    if values.shape != (num_classes, *size):
        raise ShapeError(f"{where} probabilities of shape {values.shape}; expected {(num_classes, *size)}; {rule}")
    if values.size and not (values.min() >= -_SLACK and values.max() <= 1 + _SLACK):  # nan is neither
        raise ShapeError(f"{where} probabilities from {values.min():g} to {values.max():g}; {rule}")
    if values.size > MOST_PIXELS or num_classes * size.height > MOST_ROWS:
        raise ShapeError(
            f"{where} {values.size} probabilities; at most {MOST_PIXELS} of an image are kept, in {MOST_ROWS} rows. "
            "Leave 'keep' out of the suite, or use smaller images"
        )
    return ClassProbabilities(np.rint(np.clip(values, 0, 1) * (LEVELS - 1)).astype(np.uint8))


def save_probabilities(probabilities: ClassProbabilities, folder: Path, stem: str) -> None:
    """Write the maps of an image under `folder` as `stem.png`, one below the other."""
    classes, height, width = probabilities.levels.shape
    write_png(folder / f"{stem}.png", np.ascontiguousarray(probabilities.levels).reshape(classes * height, width))


def load_probabilities(folder: Path, stem: str, classes: int) -> ClassProbabilities:
    """Read back what `save_probabilities` wrote; raises `ShapeError` if the file is damaged."""
    file = folder / f"{stem}.png"
    pixels = read_png(file)
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or pixels.shape[0] % classes:
        raise ShapeError(
            f"{file} holds no probabilities of {classes} classes; delete its job folder and run the suite again"
        )
    return ClassProbabilities(pixels.reshape(classes, -1, pixels.shape[1]))
