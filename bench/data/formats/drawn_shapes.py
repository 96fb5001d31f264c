"""Draws what annotation tools have in common: shapes with labels, over each other, as classes and objects.

Masks may be pictures that annotations hold as text: they are unpacked and decoded within bounds that their image sets.

Label Studio's run lengths of a brush: bytes in which a stream of bits holds an RGBA image.

The stream begins with the number of values (32 bits), the bits of a value less one (5), and four sizes of run lengths,
less one (4 each). Then, until all values are there: a bit, whether a run follows or single values; two bits, which of
the sizes its length has; the length less one; and the value, once for a run, else one for each place. It is the
format of the JavaScript package rle-pack; the alpha channel is the mask.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue

from bench.data.formats.image_headers import FREE_PIXELS
from bench.data.formats.label_tables import MAX_CLASSES, named_classes
from bench.data.formats.rasters import stacked
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size
from bench.records.damage import IMAGE_DAMAGE
from bench.records.png import png_fault
from bench.records.predictions import SemanticMap


class ShapeOptions(Record):
    """Options of data sets of shapes.

    Attributes:
        ignore_labels: Labels whose shapes are left out, as if they were not there.
        void: Labels whose pixels are not scored.
        stuff: Labels without countable objects.
        background: Class of pixels in no shape; None makes them void.
    """

    ignore_labels: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    background: str | None = "background"

    @property
    def decisive(self) -> list[JsonValue]:
        """Return those that decide what a ground truth is."""
        return [self.background, list(self.void), list(self.ignore_labels)]


@dataclass(frozen=True)
class Shape:
    """One drawn shape.

    Attributes:
        mask: bool, (H, W).
        group: Shapes of one label and group are one object; None for a shape that is one by itself.
    """

    label: str
    mask: NDArray[np.bool_]
    group: object = None
    crowd: bool = False


@dataclass(frozen=True)
class ShapeClasses:
    """The label space of shapes.

    Attributes:
        classes: Labels in use, and the background if there is one.
        class_of: Label -> class id, or void.
        background: Class id of pixels in no shape, or void.
    """

    classes: tuple[ClassSpec, ...]
    class_of: Mapping[str, int]
    background: int

    def ground_truth(self, shapes: Iterable[Shape], size: Size, *, unseen: bool = False) -> GroundTruth:
        """Return the ground truth of shapes, the top one last; those without a pixel are objects if `unseen`."""
        labels = np.full(size, self.background, dtype=np.uint8)
        masks: dict[object, NDArray[np.bool_]] = {}
        rows: dict[object, tuple[int, bool]] = {}
        for number, shape in enumerate(shapes):
            class_id = self.class_of[shape.label]
            labels[shape.mask] = class_id
            if class_id != IGNORE_LABEL and self.classes[class_id].is_thing and (unseen or shape.mask.any()):
                key: object = number if shape.group is None else (shape.label, shape.group)
                masks[key] = masks[key] | shape.mask if key in masks else shape.mask
                rows[key] = class_id, shape.crowd
        instances = stacked(list(masks.values()), [c for c, _ in rows.values()], [k for _, k in rows.values()], size)
        return GroundTruth(SemanticMap(labels), instances)


def classes_in_use(
    seen: Mapping[str, Path], declared: Sequence[str] | None, options: ShapeOptions, where: str
) -> ShapeClasses:
    """Return the label space of labels, each with a file that has it; raises `DatasetError` for an undeclared one."""
    found = sorted(set(seen) - {*options.ignore_labels, *options.void, options.background or ""})
    for label in found:
        if declared is not None and label not in declared:
            raise DatasetError(
                f"{seen[label]}: the label {label!r} is not among classes: {', '.join(declared)}."
                f"{did_you_mean(label, declared)} Correct it, or add it to classes, void or ignore_labels.",
                kind="labels",
            )
    return shape_classes(declared or found, options, where)


def shape_classes(labels: Sequence[str], options: ShapeOptions, where: str) -> ShapeClasses:
    """Return the label space of the labels in use, in their order; the background first unless it is among them.

    Raises:
        DatasetError: If there are none, or more than an 8-bit map has.
    """
    apart = {*options.ignore_labels, *options.void}
    names = [name for name in dict.fromkeys(labels) if name not in apart]
    if options.background is not None and options.background not in names:
        names.insert(0, options.background)
    if not names or len(names) >= MAX_CLASSES:
        raise DatasetError(f"{where} has {len(names)} labels; expected 1 to {MAX_CLASSES - 1}.")
    stuff = {*options.stuff, options.background}
    classes = named_classes(names, things={*names} - stuff, background=options.background)
    class_of = {**{name: i for i, name in enumerate(names)}, **dict.fromkeys(options.void, IGNORE_LABEL)}
    background = IGNORE_LABEL if options.background is None else names.index(options.background)
    return ShapeClasses(classes, class_of, background)


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
    """Decode a picture of a mask; raises `ValueError` if it is none, contradicts itself, or is far too large.

    Args:
        encoded: Content of a PNG, or of another format that Pillow and OpenCV know.
        size: Size of the image that it belongs to, in pixels.

    Returns:
        Pixels as OpenCV has them, (h, w) or (h, w, channels).
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


OPAQUE = 128
"""Alpha from which a pixel belongs to the mask: edges of strokes are smoothed."""
LENGTH_BITS = (3, 4, 8, 16)


def brush_mask(lengths: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """Return the mask of run lengths, bool, `size`; raises `ValueError` if they do not fill the image."""
    if not isinstance(lengths, list | tuple):
        raise ValueError("its run lengths are no list of bytes")
    try:
        bits = "".join(f"{byte:08b}" for byte in bytes(lengths))
        count, word, position = int(bits[:32], 2), int(bits[32:37], 2) + 1, 53
        sizes = [int(bits[start : start + 4], 2) + 1 for start in (37, 41, 45, 49)]
        if count != size.height * size.width * 4:
            raise ValueError(f"its run lengths are of {count} values, not of 4 × {size.height} × {size.width}")
        values = np.zeros(count, dtype=np.uint8)
        at = 0
        while at < count:
            width = sizes[int(bits[position + 1 : position + 3], 2)]
            end = at + 1 + int(bits[position + 3 : position + 3 + width], 2)
            run, position = bits[position] == "1", position + 3 + width
            for place in (slice(at, end),) if run else [slice(n, n + 1) for n in range(at, end)]:
                values[place] = int(bits[position : position + word], 2)
                position += word
            at = end
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(str(error) if "run lengths" in str(error) else "its run lengths are damaged") from None
    return np.asarray(values[3::4].reshape(size) >= OPAQUE)


def brush_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths of a mask, bool, (H, W), which `brush_mask` and Label Studio read."""
    values = np.repeat(mask.ravel().astype(np.uint8) * np.uint8(255), 4)
    parts = [f"{values.size:032b}{7:05b}", *(f"{bits - 1:04b}" for bits in LENGTH_BITS)]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [values.size]])
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        value = f"{int(values[start]):08b}"
        for begin in range(start, end, 1 << LENGTH_BITS[-1]):
            length = min(end - begin, 1 << LENGTH_BITS[-1])
            index = next(i for i, bits in enumerate(LENGTH_BITS) if length <= 1 << bits)
            parts.append(f"1{index:02b}{length - 1:0{LENGTH_BITS[index]}b}{value}")
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
