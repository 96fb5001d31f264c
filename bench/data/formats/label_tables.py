"""Label tables: the published classes of each data set as CSV files under `_labels/`, and look-ups by pixel value."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.entries import Entry
from bench.data.formats.image_files import read_mask
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec
from bench.records.predictions import LabelMap, SemanticMap

FOLDER = Path(__file__).resolve().parent / "_labels"
MAX_CLASSES = IGNORE_LABEL
"""Class ids are 0..254 in 8 bits; 255 is void."""

Rgb: TypeAlias = tuple[int, int, int]


def read_table(name: str) -> list[dict[str, str]]:
    """Return rows of `_labels/<name>.csv`, column name -> text."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rgb_of(row: Mapping[str, str]) -> Rgb:
    """Return the colour of a row with the columns red, green and blue."""
    return int(row["red"]), int(row["green"]), int(row["blue"])


def palette_colour(index: int) -> Rgb:
    """Return the colour of an index in the Pascal VOC palette: its bits, three at a time, from the top down.

    Source: `VOClabelcolormap.m` of the VOC development kit.

    >>> [palette_colour(index) for index in (0, 1, 2, 15, 255)]
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (224, 224, 192)]
    """
    channels = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            channels[channel] |= ((index >> channel) & 1) << shift
        index >>= 3
    return channels[0], channels[1], channels[2]


def named_classes(
    names: Sequence[str], *, things: Collection[str] = (), background: str | None = "background"
) -> tuple[ClassSpec, ...]:
    """Return classes in the order of their names, coloured by the VOC palette, whose first is black.

    Args:
        things: Names of those that are countable.
        background: Name of the class that is black if it is the first; without it none is.
    """
    shift = not names or names[0] != background
    return tuple(
        ClassSpec(name=name, is_thing=name in things, colour=palette_colour((index + shift) % 256))
        for index, name in enumerate(names)
    )


def map_values(pixels: NDArray[Any], class_of: Mapping[int, int], *, file: Path, known: str) -> LabelMap:
    """Turn stored values into class ids; raises `DatasetError` with the values, and pixels, that the table lacks.

    Args:
        pixels: Stored values, integers from 0, any shape.
        class_of: Stored value -> class id or `IGNORE_LABEL`.
        known: Values that the table has, and its source, for the message.
    """
    runs = runs_of(pixels)
    highest = int(runs.values.max(initial=0))
    table, known_values = np.zeros(highest + 1, dtype=np.uint8), np.zeros(highest + 1, dtype=np.bool_)
    for value, class_id in class_of.items():
        if 0 <= value <= highest:
            table[value], known_values[value] = class_id, True
    strange = ~known_values[runs.values]
    if strange.any():
        values, which = np.unique(runs.values[strange], return_inverse=True)
        marks = [str(value) for value in values.tolist()]
        raise _outside("labels", marks, _pixels_of(which, runs.lengths[strange]), file, known)
    return runs.filled(table[runs.values])


def ground_truth_of_values(file: Path, class_of: Mapping[int, int], *, known: str, instead: str) -> GroundTruth:
    """Read a mask of one value a pixel; raises `DatasetError` for colours, or a value that is not in the table.

    Args:
        class_of, known: See `map_values`.
        instead: End of the sentence `FILE holds colours`: what was expected, and what to do.
    """
    return GroundTruth(SemanticMap(map_values(read_mask(file).values(file, instead), class_of, file=file, known=known)))


def value_reader(class_of: Mapping[int, int], *, known: str, instead: str) -> Callable[[Entry], GroundTruth]:
    """Return what reads the mask of an entry that is its last file; see `ground_truth_of_values`."""
    return lambda entry: ground_truth_of_values(entry.ground_truths[-1], class_of, known=known, instead=instead)


def map_colours(pixels: NDArray[np.uint8], class_of: Mapping[Rgb, int], *, file: Path, known: str) -> LabelMap:
    """Turn colours, uint8, (H, W, 3), RGB, into class ids; raises `DatasetError` for a colour outside the table."""
    runs = runs_of(pack_rgb(pixels))
    colours, which = np.unique(runs.values, return_inverse=True)
    wanted = {(r << 16) | (g << 8) | b: class_id for (r, g, b), class_id in class_of.items()}
    unknown = [index for index, colour in enumerate(colours.tolist()) if colour not in wanted]
    if unknown:
        marks = [f"RGB {c >> 16},{c >> 8 & 255},{c & 255}" for c in colours[unknown].tolist()]
        raise _outside("colours", marks, _pixels_of(which, runs.lengths)[unknown], file, known)
    table = np.array([wanted[colour] for colour in colours.tolist()], dtype=np.uint8)
    return runs.filled(table[which])


def pack_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """R << 16 | G << 8 | B of each pixel, int32, (H, W), of uint8 (H, W, 3).

    >>> pack_rgb(np.array([[[1, 2, 3], [255, 0, 0]]], dtype=np.uint8)).tolist()
    [[66051, 16711680]]
    """
    # The four bytes B, G, R, A are one little-endian number.
    words = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA).view("<i4")[..., 0]
    return np.asarray(words & 0xFFFFFF, dtype=np.int32)


@dataclass(frozen=True)
class Runs:
    """A map as runs of equal values, row after row; maps of labels have few.

    Attributes:
        values: Value of each run, (R,).
        lengths: Length of each run in pixels, int64, (R,).
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]
    shape: tuple[int, ...]

    def filled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the map with other values in its runs, shape (R,)."""
        return np.repeat(values, self.lengths).reshape(self.shape)


def runs_of(pixels: NDArray[Any]) -> Runs:
    """Return the runs of a map. To look at each run is many times faster than to sort all pixels by value.

    >>> runs = runs_of(np.array([[7, 7, 9], [9, 9, 7]]))
    >>> runs.values.tolist(), runs.lengths.tolist()
    ([7, 9, 7], [2, 3, 1])
    >>> runs.filled(np.array([0, 1, 2])).tolist()
    [[0, 0, 1], [1, 1, 2]]
    """
    flat = pixels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return Runs(flat[starts], np.diff(starts, append=flat.size), pixels.shape)


def _pixels_of(which: NDArray[np.intp], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pixels of each kind of run, from the kind and the length of every run."""
    return np.bincount(which, weights=lengths).astype(np.int64)


def _outside(
    what: Literal["labels", "colours"], marks: Sequence[str], counts: NDArray[np.int64], file: Path, known: str
) -> DatasetError:
    """Return the error for what a table does not have: the first five with their numbers of pixels."""
    found = ", ".join(f"{mark} ({count} pixels)" for mark, count in zip(marks[:5], counts.tolist(), strict=False))
    kind = "values" if what == "labels" else what
    more = f" and {len(marks) - 5} further {kind}" if len(marks) > 5 else ""
    return DatasetError(f"{file} has {what} outside the table: {found}{more}. {known}", kind=what)
