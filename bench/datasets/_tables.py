"""Label tables: the published classes of each data set as CSV files under `_labels/`, and look-ups by pixel value."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import DatasetError
from bench.predictions import LabelMap
from bench.records import IGNORE_LABEL, ClassSpec

FOLDER = Path(__file__).resolve().parent / "_labels"
MAX_CLASSES = IGNORE_LABEL
"""Class ids are 0..254 in 8 bits; 255 is void."""

Rgb: TypeAlias = tuple[int, int, int]


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of `_labels/<name>.csv`, column name -> text."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rgb_of(row: Mapping[str, str]) -> Rgb:
    """Colour of a row with the columns red, green and blue."""
    return int(row["red"]), int(row["green"]), int(row["blue"])


def palette_colour(index: int) -> Rgb:
    """Colour of an index in the Pascal VOC palette: the bits of the index, three at a time, from the top down.

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


def named_classes(names: Sequence[str], *, things: Sequence[str] = ()) -> tuple[ClassSpec, ...]:
    """Classes in the order of their names, coloured by the VOC palette; `things` are countable."""
    return tuple(
        ClassSpec(name=name, is_thing=name in things, colour=palette_colour(index + ("background" not in names)))
        for index, name in enumerate(names)
    )


def map_values(pixels: NDArray[Any], class_of: Mapping[int, int], *, file: Path, known: str) -> LabelMap:
    """Turn stored pixel values into class ids.

    Args:
        pixels: Stored values, integers from 0, shape (H, W).
        class_of: Stored value -> class id or `IGNORE_LABEL`.
        file: The mask, for the message.
        known: What values the table has and where it comes from, for the message.

    Raises:
        DatasetError: If a value is not in the table, with its number of pixels.
    """
    highest = max(int(pixels.max(initial=0)), *class_of)
    table = np.full(highest + 1, -1, dtype=np.int16)
    table[list(class_of)] = list(class_of.values())
    labels = table[pixels]
    if labels.min(initial=0) < 0:
        values, counts = np.unique(pixels[labels < 0], return_counts=True)
        found = ", ".join(f"{v} ({c} pixels)" for v, c in zip(values[:5].tolist(), counts[:5].tolist(), strict=True))
        more = f" and {len(values) - 5} further values" if len(values) > 5 else ""
        raise DatasetError(f"{file} has labels outside the table: {found}{more}. {known}")
    return np.asarray(labels, dtype=np.uint8)


def map_colours(pixels: NDArray[np.uint8], class_of: Mapping[Rgb, int], *, file: Path, known: str) -> LabelMap:
    """Turn colours, uint8, (H, W, 3), RGB, into class ids; raises `DatasetError` for a colour outside the table."""
    packed = pack_rgb(pixels)
    colours, first = np.unique(packed, return_inverse=True)
    wanted = {(r << 16) | (g << 8) | b: class_id for (r, g, b), class_id in class_of.items()}
    unknown = [int(colour) for colour in colours if int(colour) not in wanted]
    if unknown:
        counts = [int((packed == colour).sum()) for colour in unknown[:5]]
        found = ", ".join(
            f"RGB {c >> 16},{c >> 8 & 255},{c & 255} ({n} pixels)" for c, n in zip(unknown, counts, strict=False)
        )
        more = f" and {len(unknown) - 5} further colours" if len(unknown) > 5 else ""
        raise DatasetError(f"{file} has colours outside the table: {found}{more}. {known}")
    table = np.array([wanted[int(colour)] for colour in colours], dtype=np.uint8)
    return np.asarray(table[first].reshape(packed.shape))


def pack_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """R << 16 | G << 8 | B of each pixel, int32, (H, W), of uint8 (H, W, 3)."""
    wide = pixels.astype(np.int32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])
