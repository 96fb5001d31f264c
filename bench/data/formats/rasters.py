"""Polygons and run lengths to masks, as pycocotools reads them, and overlapping masks to one map.

Polygons are drawn in `_polygons.py`. Source of the run lengths: `common/maskApi.c` of the COCO API,
function `rleFrString` (run lengths in characters of six bits). pycocotools is the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_rows import nested
from bench.data.formats.polygons import Corners, corners_of, polygon_masks
from bench.records import Size, label_dtype, void_id
from bench.records.predictions import Instances, LabelMap
from bench.records.run_lengths import mask_from_run_lengths


class SegmentationError(ValueError):
    """A `segmentation` that cannot be drawn.

    Attributes:
        position: Its place among those that were to be drawn.
    """

    def __init__(self, position: int, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.position = position


def run_lengths_of_text(text: str) -> list[int]:
    """Run lengths of COCO's compressed text: six bits a character, differences from the third on.

    Raises:
        ValueError: If the text ends within a number or holds another character.
    """
    if text[:2] in ("b'", 'b"'):
        raise ValueError("its run lengths were written as Python shows bytes, b'…'; write counts.decode() instead")
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text) or not 0 <= (code := ord(text[position]) - 48) < 64:
                raise ValueError("the run lengths are damaged")
            value |= (code & 31) << shift
            more, shift, position = bool(code & 32), shift + 5, position + 1
            if not more and code & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def text_of_run_lengths(runs: Sequence[int]) -> str:
    """Write run lengths as COCO's compressed text; the inverse of `run_lengths_of_text`.

    >>> run_lengths_of_text(text_of_run_lengths([5, 3, 2000, 3, 1]))
    [5, 3, 2000, 3, 1]
    """
    letters = []
    for position, run in enumerate(runs):
        value, more = run - (runs[position - 2] if position > 2 else 0), True
        while more:
            code, value = value & 31, value >> 5
            more = value != (-1 if code & 16 else 0)
            letters.append(chr((code | 32 if more else code) + 48))
    return "".join(letters)


def segmentation_masks(segmentations: Sequence[object], size: Size, *, by_rows: bool = False) -> NDArray[np.bool_]:
    """Masks of the `segmentation` of COCO annotations of one image: polygons, run lengths, or run lengths as text.

    Args:
        segmentations: Of an annotation each.
        size: Of the image.
        by_rows: Whether run lengths go along the rows, as some writers have it, and not down the columns.

    Returns:
        bool, (N, H, W), in the order given.

    Raises:
        SegmentationError: If one is none of them, or run lengths that do not fill the image.
    """
    polygons: list[list[Corners]] = []
    masks: dict[int, NDArray[np.bool_]] = {}
    for position, segmentation in enumerate(segmentations):
        try:
            listed = isinstance(segmentation, list)
            parts = nested(segmentation).parts if isinstance(segmentation, list) else []
            if segmentation and listed and not parts:
                raise ValueError("a polygon needs three or more pairs of numbers")
            polygons.append([corners_of(points) for points in parts])
            if not isinstance(segmentation, list):
                masks[position] = _mask_of_runs(segmentation, size, by_rows)
        except (ValueError, TypeError, OverflowError) as error:
            raise SegmentationError(position, str(error)) from None
    drawn = polygon_masks(polygons, size)
    for position, mask in masks.items():
        drawn[position] = mask
    return drawn


def _mask_of_runs(segmentation: object, size: Size, by_rows: bool) -> NDArray[np.bool_]:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if isinstance(counts, str | list) and tuple(segmentation.get("size", ())) == tuple(size):
            lengths = run_lengths_of_text(counts) if isinstance(counts, str) else _whole(counts)
            if by_rows:
                return np.ascontiguousarray(mask_from_run_lengths(lengths, Size(size.width, size.height)).T)
            return mask_from_run_lengths(lengths, size)
        if tuple(segmentation.get("size", ())) == (size.width, size.height):
            raise ValueError(f"its size is written as width and height; run lengths have height and width, {[*size]}")
    raise ValueError(f"its segmentation is neither polygons nor run lengths of an image of {tuple(size)}")


def _whole(counts: list[object]) -> list[int]:
    """Run lengths as whole numbers, which some writers store as 12.0."""
    if not all(isinstance(n, int) or (isinstance(n, float) and n.is_integer()) for n in counts):
        raise ValueError("its run lengths are no whole numbers")
    return [int(n) for n in counts]  # type: ignore[call-overload]


def painted(instances: Instances, *, background: int | None, num_classes: int = 0) -> LabelMap:
    """Class ids of overlapping masks in one map: smaller objects lie on top of larger ones, crowds at the bottom.

    Args:
        instances: Masks with classes.
        background: Class id of pixels in no mask; None for void.
        num_classes: K, which decides how wide the ids are; must be given where there can be more than 255.

    Raises:
        OverflowError: If a class id does not fit.
    """
    void, dtype = void_id(num_classes), label_dtype(num_classes)
    if max(instances.class_ids.tolist(), default=0) >= max(num_classes, void):
        raise OverflowError(f"class id {int(instances.class_ids.max())} does not fit {void} classes")
    labels = np.full(instances.size, void if background is None else background, dtype=dtype)
    pixels = instances.masks.view(np.uint8)
    areas = [cv2.countNonZero(mask) for mask in pixels]
    for index in sorted(range(len(areas)), key=lambda i: (not instances.crowd[i], -areas[i], i)):
        left, top, width, height = cv2.boundingRect(pixels[index])
        box = slice(top, top + height), slice(left, left + width)
        labels[box][instances.masks[index][box]] = instances.class_ids[index]
    return labels


def stacked(
    masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    class_ids: Sequence[int],
    crowd: Sequence[bool],
    size: Size,
) -> Instances:
    """True instances of one image, in the order given, all with score 1; masks that are one array are not copied."""
    one = masks if isinstance(masks, np.ndarray) else np.stack(masks) if masks else np.zeros((0, *size), dtype=np.bool_)
    return Instances(
        masks=one,
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.ones(len(class_ids), dtype=np.float64),
        crowd=np.array(crowd, dtype=np.bool_),
    )
