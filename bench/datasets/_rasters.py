"""Polygons and run lengths to masks, pixel for pixel as pycocotools paints them, and overlapping masks to one map.

Source: `common/maskApi.c` of the COCO API, functions `rleFrPoly` (a polygon is drawn five times
finer, its outline walked point by point, and pixel centres inside by the even-odd rule are filled)
and `rleFrString` (run lengths in characters of six bits). pycocotools is the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.predictions import Instances, LabelMap, mask_from_run_lengths
from bench.records import Size

FINER = 5
"""Grid points per pixel along each side."""


def polygon_mask(points: Sequence[float] | NDArray[np.float64], size: Size) -> NDArray[np.bool_]:
    """Fill one closed polygon.

    Args:
        points: x1, y1, x2, y2, … in pixels; the top left corner of the image is (0, 0), the centre
            of its first pixel (0.5, 0.5). May leave the image.
        size: Of the mask.

    Returns:
        bool, shape `size`. Where the polygon crosses itself the even-odd rule decides, so a line
        walked there and back leaves no trace.

    >>> polygon_mask([1, 0, 3, 0, 3, 2, 1, 2], Size(3, 4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    height, width = size
    # C truncates towards zero where NumPy's astype does the same.
    corners = (np.asarray(points, dtype=np.float64).reshape(-1, 2) * FINER + 0.5).astype(np.int64)
    u, v = _outline(corners)
    crossing = np.flatnonzero(u[1:] != u[:-1])
    column = np.minimum(u[crossing], u[crossing + 1])  # of the finer grid, left of the step
    inside = ((column - FINER // 2) % FINER == 0) & (column >= FINER // 2) & (column <= FINER * (width - 1) + 2)
    top = np.minimum(v[crossing], v[crossing + 1])[inside]
    # The first pixel whose centre lies below the crossing: ceil((top + 0.5) / 5 - 0.5), exact in integers.
    rows = np.clip(-(-(2 * top + 1 - FINER) // (2 * FINER)), 0, height)
    columns = (column[inside] - FINER // 2) // FINER
    if not len(columns):
        return np.zeros(size, dtype=np.bool_)
    left, right = int(columns.min()), int(columns.max()) + 1
    toggles = np.bincount((columns - left) * height + rows, minlength=(right - left) * height + 1)[:-1]
    filled = (np.cumsum(toggles) & 1).astype(np.bool_).reshape(right - left, height)
    mask = np.zeros(size, dtype=np.bool_)
    mask[:, left:right] = filled.T
    return mask


def _outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points of the finer grid along a closed polygon, x and y: every edge in steps of one along its longer side."""
    start, end = corners, np.roll(corners, -1, axis=0)
    across = np.abs(end - start)
    steps = across.max(axis=1)
    along_x = across[:, 0] >= across[:, 1]
    rows = np.arange(len(corners))
    longer = np.where(along_x, 0, 1)
    backwards = start[rows, longer] > end[rows, longer]
    # An edge is drawn from its smaller end, so that both directions give the same points.
    low, high = np.where(backwards[:, None], end, start), np.where(backwards[:, None], start, end)
    slope = (high - low)[rows, 1 - longer] / np.maximum(steps, 1)

    edge = np.repeat(rows, steps + 1)
    position = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    position = np.where(backwards[edge], steps[edge] - position, position)
    on_longer = low[edge, longer[edge]] + position
    on_shorter = (low[edge, 1 - longer[edge]] + slope[edge] * position + 0.5).astype(np.int64)
    x = np.where(along_x[edge], on_longer, on_shorter)
    return x, np.where(along_x[edge], on_shorter, on_longer)


def run_lengths_of_text(text: str) -> list[int]:
    """Run lengths of COCO's compressed text: six bits a character, differences from the third on.

    Raises:
        ValueError: If the text ends within a number or holds another character.
    """
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


def segmentation_mask(segmentation: object, size: Size) -> NDArray[np.bool_]:
    """Mask of the `segmentation` of a COCO annotation: polygons, run lengths, or run lengths as text.

    Raises:
        ValueError: If it is none of them, or run lengths that do not fill the image.
    """
    if isinstance(segmentation, list):
        mask = np.zeros(size, dtype=np.bool_)
        for points in segmentation:
            if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
                raise ValueError("a polygon needs three or more pairs of numbers")
            mask |= polygon_mask(points, size)
        return mask
    if isinstance(segmentation, dict) and tuple(segmentation.get("size", ())) == tuple(size):
        counts = segmentation.get("counts")
        if isinstance(counts, str | list):
            return mask_from_run_lengths(run_lengths_of_text(counts) if isinstance(counts, str) else counts, size)
    raise ValueError(f"its segmentation is neither polygons nor run lengths of an image of {tuple(size)}")


def painted(instances: Instances, *, background: int) -> LabelMap:
    """Class ids of overlapping masks in one map: smaller objects lie on top of larger ones, crowds at the bottom.

    Args:
        instances: Masks with classes.
        background: Class id of pixels in no mask, or 255 for void.
    """
    labels = np.full(instances.size, background, dtype=np.uint8)
    areas = instances.masks.sum(axis=(1, 2))
    for index in sorted(range(len(areas)), key=lambda i: (not instances.crowd[i], -int(areas[i]), i)):
        labels[instances.masks[index]] = instances.class_ids[index]
    return labels


def stacked(
    masks: Sequence[NDArray[np.bool_]], class_ids: Sequence[int], crowd: Sequence[bool], size: Size
) -> Instances:
    """True instances of one image, in the order given, all with score 1."""
    return Instances(
        masks=np.stack(masks) if masks else np.zeros((0, *size), dtype=np.bool_),
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.ones(len(masks), dtype=np.float64),
        crowd=np.array(crowd, dtype=np.bool_),
    )
