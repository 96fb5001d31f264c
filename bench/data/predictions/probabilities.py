"""Probability maps: an array for each image (.npy, .npz, floating-point TIFF) with a number for each class and pixel.

The class with the largest number wins, the first of equals; logits give the same. One channel is the probability of
the foreground of two classes, compared with `threshold`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.predictions.label_maps import MapFiles, check_size
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested
from bench.errors import BenchError, ShapeError, in_one_line
from bench.records import Size, background_class
from bench.records.array_files import mapped_array, packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.predictions import SemanticMap
from bench.records.probabilities import ClassProbabilities, quantised

SUFFIXES = (".npy", ".npz", ".tif", ".tiff")
KEYS = ("probabilities", "softmax", "arr_0")
"""Names under which programs keep the map in an .npz: nnU-Net, nnU-Net before version 2, numpy.savez."""


class ProbabilityMaps(MapFiles):
    """Reads probability maps."""

    suffixes = SUFFIXES

    def __init__(self, root: Path, options: Options, asked: Requested) -> None:
        """Match files with images and channels with classes; reads no map."""
        super().__init__(root, options, asked)
        self._channels = 1 + max(self._table, default=0)

    def read(self, image_id: str, size: Size) -> SemanticMap:
        """Return the classes of an image; raises `BenchError` for another size, number of channels or range."""
        file = self._matched.files.get(image_id)
        if file is None:
            return self._nothing(size)
        array = read_numbers(file)
        if not np.isfinite(array).all():
            raise ShapeError(f"{file} holds numbers that are not finite; save the map again")
        if array.ndim == 2:
            return SemanticMap(self._foreground(array, size, file))
        first = self._first(array.shape, size, file)
        best = array.argmax(axis=0 if first else -1)
        table = np.full(self._channels, self._void, dtype=self._dtype)
        for channel, class_id in self._table.items():
            table[channel] = class_id
        return SemanticMap(np.asarray(table[best]))

    def probabilities(self, image_id: str, size: Size) -> ClassProbabilities:
        """Return the probabilities of an image for each of the classes; 0 for a class that has no channel.

        An image without a file has probability 0 throughout.

        Raises:
            ShapeError: As `read`, and if the numbers are no probabilities.
        """
        classes, file = len(self._asked.classes), self._matched.files.get(image_id)
        found = np.zeros((classes, *size), dtype=np.float32)
        if file is not None:
            array = read_numbers(file)
            low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            if not (low >= 0 and high <= 1 + 1e-3):  # nan is neither
                raise ShapeError(
                    f"{file} holds numbers from {low:g} to {high:g}, which are no probabilities; save them after the "
                    "softmax or sigmoid, or leave 'keep: probabilities' out of the suite"
                )
            if array.ndim == 2:
                front = self._front(array.shape, size, file)
                found[front], found[1 - front] = array, 1 - array
            else:
                planes = array if self._first(array.shape, size, file) else np.moveaxis(array, -1, 0)
                for channel, class_id in self._table.items():
                    if class_id < classes:  # others are void
                        found[class_id] += planes[channel]
        return quantised(found, num_classes=classes, size=size, image_id=image_id, model=self._options.root)

    def _first(self, shape: tuple[int, ...], size: Size, file: Path) -> bool:
        """Return whether the classes lie on the first axis."""
        fits = {"first": shape == (self._channels, *size), "last": shape == (*size, self._channels)}
        if self._options.channels is not None:
            fits = {axis: fit and axis == self._options.channels for axis, fit in fits.items()}
        if all(fits.values()):
            raise ShapeError(
                f"{file} has the shape {shape}, in which classes may be first or last; say channels: first"
            )
        if not any(fits.values()):
            sides = shape[1:] if shape[0] == self._channels else shape[:-1]
            if self._channels in (shape[0], shape[-1]):
                check_size(sides, size, file)
            raise ShapeError(
                f"{file} has the shape {shape}; expected ({self._channels}, {size.height}, {size.width}) or "
                f"({size.height}, {size.width}, {self._channels}), a number for each of {self._channels} classes and "
                "each pixel. Say which classes the channels are by the option classes"
            )
        return fits["first"]

    def _front(self, shape: tuple[int, ...], size: Size, file: Path) -> int:
        """Return the class id of the foreground, which a map of one channel is of."""
        check_size(shape, size, file)
        if len(self._asked.classes) != 2:
            raise ShapeError(
                f"{file} has one channel, which tells a foreground from a background; there are "
                f"{len(self._asked.classes)} classes. Save a number for each class, or label maps with format: labels"
            )
        nothing = background_class(self._asked.classes)
        return 1 if nothing is None else 1 - nothing

    def _foreground(self, array: NDArray[Any], size: Size, file: Path) -> NDArray[Any]:
        front = self._front(array.shape, size, file)
        threshold = self._options.threshold
        if threshold is None:
            low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            if low < 0 or high > 1:
                raise ShapeError(
                    f"{file} holds numbers from {low:g} to {high:g}, which are no probabilities. If they are logits "
                    "say threshold: 0, if they are of 255 say threshold: 127.5"
                )
            threshold = 0.5
        return np.where(array > threshold, front, 1 - front).astype(self._dtype)


def read_numbers(file: Path) -> NDArray[Any]:
    """Read an array, (H, W) or with one more axis; axes of length one are dropped, nothing is unpickled."""
    try:
        if file.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            array = np.asarray(tifffile.imread(file))
        elif file.suffix.lower() == ".npz":
            with packed_arrays(file) as archive:
                array = _member(archive, file)
        else:
            array = np.array(mapped_array(file))
    except ImportError:
        raise BenchError(f"{file}: needs tifffile to read it. Install it with: pip install tifffile") from None
    except ARRAY_DAMAGE as error:
        raise ShapeError(f"{file} cannot be read as an array: {in_one_line(error, 300)}") from None
    flat = array.reshape([side for side in array.shape if side != 1] or [1])
    if flat.ndim not in (2, 3) or not (np.issubdtype(flat.dtype, np.number) or flat.dtype == np.bool_):
        raise ShapeError(
            f"{file} holds {array.dtype} of shape {array.shape}; a map has two axes, or one more for classes"
        )
    return flat


def _member(archive: Any, file: Path) -> NDArray[Any]:
    names = list(archive)
    name = names[0] if len(names) == 1 else next((key for key in KEYS if key in names), None)
    if name is None:
        raise ShapeError(f"{file} holds {', '.join(names)}; expected one array, or one called probabilities")
    return np.asarray(archive[name])
