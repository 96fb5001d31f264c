"""Label maps: an image file, NumPy array or NIfTI file for each image whose pixels are classes, by value or by colour.

As mmsegmentation's `--out`, nnU-Net (PNG or NIfTI, with the names in its `dataset.json`) and most scripts write them.
Value v is class v, 255 (65535 in 16 bits) names no class; the option `classes` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.arrays import read_array
from bench.data.formats.image_files import StoredMask, read_mask
from bench.data.formats.label_tables import pack_rgb
from bench.data.predictions.matching import Reader, match_files, named, refuse_missing
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested, labels_beside, numbered
from bench.errors import BenchError, ShapeError, in_one_line
from bench.records import Flag, Size, background_class, label_dtype, void_id
from bench.records.predictions import LabelMap, SemanticMap

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy", ".nii.gz", ".nii")
VOID_VALUES = (255, 65535)
NIFTI = (".nii", ".gz")


class MapFiles(Reader):
    """Files of the classes of each pixel, one for each image, by numbers that stand for classes."""

    suffixes: tuple[str, ...]

    def __init__(self, root: Path, options: Options, asked: Requested) -> None:
        """Match files with images and numbers with classes; opens no map."""
        self._options, self._asked = options, asked
        self._matched = match_files(root, options.pattern, self.suffixes, asked)
        if self._matched.missing and options.missing == "refuse":
            raise refuse_missing(root, self._matched.missing, len(asked.ids))
        self._void, self._dtype = void_id(len(asked.classes)), label_dtype(len(asked.classes))
        self._beside = labels_beside(root) if options.classes is None else None
        where = str(root / "dataset.json") if self._beside else f"{root}: classes"
        self._table = numbered(self._beside or options.classes, asked, offset=options.offset, where=where)
        self._flags = self._matched.flags()

    def _nothing(self, size: Size) -> SemanticMap:
        """Return the map of an image without a file: no pixel of any class."""
        return SemanticMap(np.full(size, self._void, dtype=self._dtype))


class LabelMaps(MapFiles):
    """Reads label maps."""

    suffixes = SUFFIXES

    def __init__(self, root: Path, options: Options, asked: Requested) -> None:
        """Match files with images and values with classes; reads no map unless there are two classes."""
        super().__init__(root, options, asked)
        if self._beside is None and options.classes is None and not options.offset:
            self._adopt_binary()
        self._colours = _colours(options, asked)

    def read(self, image_id: str, size: Size) -> SemanticMap:
        """Return the label map of an image; raises `BenchError` for another size or values of no class."""
        file = self._matched.files.get(image_id)
        if file is None:
            return self._nothing(size)
        stored = _stored(file)
        check_size(stored.pixels.shape[:2], size, file)
        return SemanticMap(self._by_colour(stored, file) if stored.pixels.ndim == 3 else self._by_value(stored, file))

    def _adopt_binary(self) -> None:
        """Take 255 for the foreground where there are two classes and the maps hold 0 and 255 alone."""
        if len(self._asked.classes) != 2:
            return
        values: set[int] = set()
        for file in self._matched.files.values():
            stored = _stored(file)
            values |= set(np.unique(stored.pixels).tolist()) if stored.pixels.ndim == 2 else {-1}
        if 255 not in values or not values <= {0, 1, 255}:
            return
        nothing = background_class(self._asked.classes)
        front = 1 if nothing is None else 1 - nothing
        name = self._asked.classes[front].name
        if 1 in values:
            raise BenchError(
                f"the label maps hold 0, 1 and 255, of which 255 may be {name!r} or no class. Say which: classes: "
                f"{{{self._asked.classes[1 - front].name}: 0, {name}: 1}} leaves 255 as no class; give {name} 255 if "
                "1 is an error"
            )
        self._table = {0: 1 - front, 255: front}
        seen = f"the maps hold 0 and 255, read as 0 = {self._asked.classes[1 - front].name!r} and 255 = {name!r}"
        self._flags.append(Flag(name="binary_values", seen=seen, advice="set the option classes if not"))

    def _by_value(self, stored: StoredMask, file: Path) -> LabelMap:
        values, counts = np.unique(stored.pixels, return_counts=True)
        table = dict.fromkeys(VOID_VALUES, self._void) | self._table
        unknown = [i for i, value in enumerate(values.tolist()) if value not in table]
        if unknown:
            by_palette = self._by_palette(stored)
            if by_palette is not None:
                return by_palette
            raise self._outside(file, values[unknown].tolist(), counts[unknown].tolist(), values.tolist())
        lookup = np.zeros(int(values.max(initial=0)) + 1, dtype=self._dtype)
        for value in values.tolist():
            lookup[value] = table[value]
        return np.asarray(lookup[stored.pixels])

    def _by_palette(self, stored: StoredMask) -> LabelMap | None:
        if stored.palette is None:
            return None
        class_of = [self._colours.get(colour) for colour in stored.palette]
        used = np.unique(stored.pixels).tolist()
        if any(index >= len(class_of) or class_of[index] is None for index in used):
            return None
        table = np.array([0 if i is None else i for i in class_of], dtype=self._dtype)
        return np.asarray(table[stored.pixels])

    def _by_colour(self, stored: StoredMask, file: Path) -> LabelMap:
        packed = pack_rgb(np.ascontiguousarray(stored.pixels))
        colours, which, counts = np.unique(packed, return_inverse=True, return_counts=True)
        triples = [(c >> 16, c >> 8 & 255, c & 255) for c in colours.tolist()]
        unknown = [i for i, triple in enumerate(triples) if triple not in self._colours]
        if not unknown:
            table = np.array([self._colours[t] for t in triples], dtype=self._dtype)
            return np.asarray(table[which.reshape(packed.shape)])
        if all(r == g == b for r, g, b in triples):  # grey, stored three times
            return self._by_value(StoredMask(stored.pixels[..., 0], "grey"), file)
        told = ", ".join(f"RGB {','.join(map(str, triples[i]))} ({counts[i]} pixels)" for i in unknown[:5])
        first = self._asked.classes[0]
        raise ShapeError(
            f"{file} holds {len(unknown)} colours of no class: {told}. Expected the colours of the data set's classes, "
            f"for example {first.name} = {list(first.colour)}; say yours by the option colours: {{NAME: [r, g, b]}}. A "
            "picture that is blended with its image, or a JPEG, cannot be scored"
        )

    def _outside(self, file: Path, unknown: list[int], counts: list[int], values: list[int]) -> BenchError:
        told = ", ".join(f"{value} ({count} pixels)" for value, count in list(zip(unknown, counts, strict=True))[:5])
        first = min(self._table, default=0)
        shifted = unknown == [first + len(self._asked.classes)] and min(values) > first
        hint = f" The values seem to begin with {first + 1}: say offset: {first + 1}." if shifted else ""
        span = f"{first} to {max(self._table, default=0)}"
        expected = span if len(self._table) > 8 else named(map(str, self._table))
        return ShapeError(
            f"{file} holds values of no class: {told}. Expected {expected}, and 255 for no class.{hint} Say what the "
            "values mean by the option classes, for example classes: {NAME: VALUE}"
        )


def check_size(found: tuple[int, ...], size: Size, file: Path | str) -> None:
    """Raise `ShapeError` unless a prediction is as large as its image."""
    if tuple(found) != tuple(size):
        is_turned = tuple(found[::-1]) == tuple(size)
        turned = " It fits if it is turned: height and width are exchanged." if is_turned else ""
        raise ShapeError(
            f"{file} is {found[0]} × {found[1]} pixels, its image {size.height} × {size.width} (height × "
            f"width).{turned} Predictions are scored at the image's own size and not resized here: resize logits or "
            "probabilities to it before taking classes, and save again"
        )


def _colours(options: Options, asked: Requested) -> Mapping[tuple[int, int, int], int]:
    if options.colours is None:
        return {spec.colour: class_id for class_id, spec in enumerate(asked.classes)}
    ids = numbered({name: i for i, name in enumerate(options.colours)}, asked, offset=0, where="colours")
    return {colour: ids[i] for i, colour in enumerate(options.colours.values())}


def _stored(file: Path) -> StoredMask:
    if file.suffix.lower() == ".npy":
        return StoredMask(read_array(file), "grey")
    return StoredMask(_nifti(file), "grey") if file.suffix.lower() in NIFTI else read_mask(file)


def _nifti(file: Path) -> NDArray[Any]:
    """Return a slice as (height, width): NIfTI counts columns first."""
    try:
        import nibabel
    except ImportError:
        raise BenchError(f"{file}: needs nibabel to read NIfTI files. Install it with: pip install nibabel") from None
    try:
        volume = np.asarray(nibabel.load(file).dataobj)  # type: ignore[attr-defined]  # images have it
    except (OSError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise ShapeError(f"{file} cannot be read as NIfTI: {in_one_line(error)}") from None
    flat = volume.reshape([side for side in volume.shape if side != 1] or [1])
    if flat.ndim != 2:
        raise ShapeError(
            f"{file} is a volume of shape {volume.shape}; images are scored one slice at a time. Save each slice as a "
            "file of its own, named after its image"
        )
    if not (flat == np.floor(flat)).all() or flat.min(initial=0) < 0 or flat.max(initial=0) > 65535:
        raise ShapeError(f"{file} holds values that are no labels; save class numbers from 0 upwards")
    return np.ascontiguousarray(flat.T.astype(np.uint16))
