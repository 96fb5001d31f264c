"""Counts what the masks of a folder hold, value by value: the evidence by which classes are told, or not told.

Of every mask the values (grey values or palette indices) or colours are counted. Where that leaves a
doubt, a few masks are looked at for their shapes: whether a value ever fills a square of two by two
pixels, or only lies along edges as smoothing makes it, and whether each value is one connected patch,
as in masks that number objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import StoredMask, read_mask
from bench.data.formats.label_tables import Rgb, pack_rgb

MOST_MARKS = 4096
"""Values, or colours, from which on a set of masks is no longer counted: these are no labels."""

LOOKED_AT = 32
"""Masks that are looked at for their shapes, at even distances."""

LEAST_SIDE = 16
"""Pixels of the smaller side of a mask from which on its shapes say something."""


@dataclass(frozen=True)
class MaskValues:
    """Hold what one mask holds.

    Attributes:
        values: Stored value -> pixels; empty of a mask that holds colours.
        colours: RGB -> pixels; empty of a mask that holds values.
        palette: Colours of its indices; None where the values are no indices.
    """

    path: Path
    values: Mapping[int, int]
    colours: Mapping[Rgb, int]
    palette: tuple[Rgb, ...] | None = None

    def shown(self) -> dict[int, Rgb]:
        """Return the colours of those indices that occur."""
        palette = self.palette or ()
        return {value: palette[value] for value in self.values if value < len(palette)}


@dataclass
class Evidence:
    """Hold what all masks together hold.

    Attributes:
        masks: Number of masks that were counted.
        pixels: Pixels of each value, or colour, over all masks.
        files: Number of masks that hold each value.
    """

    masks: int = 0
    pixels: Counter[Any] = field(default_factory=Counter)
    files: Counter[Any] = field(default_factory=Counter)
    total: int = 0

    def add(self, marks: Mapping[Any, int]) -> None:
        """Count one mask."""
        self.masks += 1
        self.pixels.update(marks)
        self.files.update(marks.keys())
        self.total += sum(marks.values())

    def share(self, marks: Iterable[Any]) -> float:
        """Return the share of all pixels, 0-1."""
        return sum(self.pixels[mark] for mark in marks) / max(1, self.total)

    def describe(self, marks: Sequence[Any], *, most: int = 6) -> str:
        """Return the values with their shares, for messages."""
        parts = [
            f"{_named(mark)} in {self.files[mark]} of {self.masks} masks ({_percent(self.share([mark]))} of the pixels)"
            for mark in marks[:most]
        ]
        more = [f"{len(marks) - most} more"] if len(marks) > most else []
        return ", ".join([*parts, *more])


def values_of(path: Path) -> MaskValues:
    """Count the values or colours of one mask; raises `DatasetError` as `read_mask`."""
    mask = read_mask(path)
    if mask.colours == "rgb" and not is_grey(mask.pixels):
        packed, counts = np.unique(pack_rgb(mask.pixels), return_counts=True)
        colours = {(c >> 16, c >> 8 & 255, c & 255): n for c, n in zip(packed.tolist(), counts.tolist(), strict=True)}
        return MaskValues(path, {}, colours)
    counts = np.bincount(as_values(mask).ravel())
    present = np.flatnonzero(counts)
    return MaskValues(path, dict(zip(present.tolist(), counts[present].tolist(), strict=True)), {}, mask.palette)


def as_values(mask: StoredMask) -> NDArray[Any]:
    """Return the stored values, (H, W), of a mask that holds no colours but grey."""
    return mask.pixels if mask.pixels.ndim == 2 else mask.pixels[..., 0]


def is_grey(pixels: NDArray[Any]) -> bool:
    """Return whether all three channels of RGB pixels, (H, W, 3), are equal."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool((red == green).all() and (green == blue).all())


def evenly(paths: Sequence[Path], count: int) -> list[Path]:
    """Return at most `count` of the files, at even distances.

    >>> [path.name for path in evenly([Path(c) for c in "abcdef"], 3)]
    ['a', 'c', 'e']
    """
    return [paths[number * len(paths) // count] for number in range(count)] if len(paths) > count else list(paths)


def only_along_edges(paths: Sequence[Path]) -> set[int]:
    """Return values that fill no square of 2 × 2 pixels in any of the masks looked at, as greys made by smoothing."""
    seen, filling = set[int](), set[int]()
    for path in evenly(paths, LOOKED_AT):
        pixels = as_values(read_mask(path))
        if min(pixels.shape) < LEAST_SIDE:
            return set()
        corner = pixels[:-1, :-1]
        same = (corner == pixels[1:, :-1]) & (corner == pixels[:-1, 1:]) & (corner == pixels[1:, 1:])
        seen.update(np.unique(pixels).tolist())
        filling.update(np.unique(corner[same]).tolist())
    return seen - filling


def number_objects(paths: Sequence[Path]) -> bool:
    """Return whether the masks seem to number objects: in each the values are 1 to n, and each is one patch.

    Label maps of classes fail this soon, because a class mostly has several patches in some image.
    """
    most = patches = single = 0
    for path in evenly(paths, LOOKED_AT):
        pixels = as_values(read_mask(path))
        values = [value for value in np.unique(pixels).tolist() if value]
        if min(pixels.shape) < LEAST_SIDE or values != list(range(1, len(values) + 1)):
            return False
        patches, single = patches + len(values), single + _single(pixels, values)
        most = max(most, len(values))
        if patches > 20 and single < 0.9 * patches:
            return False
    return most >= 3 and single >= 0.9 * patches


def one_patch_each(paths: Sequence[Path]) -> bool:
    """Return whether every value but 0, or colour but black, is one patch, and hardly one is in two of the masks.

    So it is where masks number objects on and on, or give each a colour of its own; classes come again.
    """
    seen: Counter[int] = Counter()
    patches = single = 0
    chosen = evenly(paths, LOOKED_AT)
    for path in chosen:
        mask = read_mask(path)
        coloured = mask.colours == "rgb" and not is_grey(mask.pixels)
        pixels = pack_rgb(mask.pixels) if coloured else as_values(mask)
        values = [value for value in np.unique(pixels).tolist() if value]
        if min(pixels.shape) < LEAST_SIDE or len(values) > MOST_MARKS:
            return False
        seen.update(values)
        patches, single = patches + len(values), single + _single(pixels, values)
    again = sum(count > 1 for count in seen.values())
    return len(chosen) > 2 and len(seen) > len(chosen) and single >= 0.9 * patches and again <= 0.1 * len(seen)


def _single(pixels: NDArray[Any], values: Sequence[int]) -> int:
    """Return how many of some values are one patch each."""
    return sum(cv2.connectedComponents((pixels == value).astype(np.uint8))[0] == 2 for value in values)


def swapped_colour(masks: Sequence[MaskValues]) -> tuple[Rgb, Path, int, Path, int] | None:
    """Return a colour in use that has one index in the palette of a mask and another in that of another mask."""
    first: dict[Rgb, tuple[int, Path]] = {}
    for mask in masks:
        for index, colour in mask.shown().items():
            known, where = first.setdefault(colour, (index, mask.path))
            if known != index and list(mask.shown().values()).count(colour) == 1:
                return colour, where, known, mask.path, index
    return None


def _named(mark: Any) -> str:
    return f"RGB {','.join(map(str, mark))}" if isinstance(mark, tuple) else str(mark)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "below 0.1 %"
