"""Masks as COCO's run lengths, and back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records import Size


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO run lengths of a mask: column-major, the first run counts zeros.

    Only the box around the mask is turned to columns; outside of it there are zeros to count.

    >>> run_lengths(np.array([[False, True], [True, True]]))
    [1, 3]
    """
    height, width = mask.shape
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    left, top, across, down = cv2.boundingRect(pixels) if mask.size else (0, 0, 0, 0)
    if not across:
        return [height * width]
    # A zero before and after every column: a run of ones has a beginning and an end, and none goes on in the next.
    stride = down + 2
    columns = np.zeros((across, stride), dtype=np.uint8)
    columns[:, 1:-1] = cv2.transpose(pixels[top : top + down, left : left + across])
    flat = columns.ravel()
    steps = np.flatnonzero(flat[1:] != flat[:-1])  # where a run of ones begins and where it ends, in turn
    edges = steps + steps // stride * (height - stride) + left * height + top  # the same in the whole mask
    if down == height:  # a run that ends with its column and one that begins with the next are one run
        joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
        edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    ends = np.concatenate([edges, [height * width]])
    lengths: list[int] = [int(ends[0]), *(ends[1:] - ends[:-1]).tolist()]
    return lengths if lengths[-1] else lengths[:-1]


def mask_from_run_lengths(runs: list[int], size: Size) -> NDArray[np.bool_]:
    """Return the mask of COCO run lengths, bool, shape `size`, C order; raises `ValueError` if they do not fill it."""
    height, width = size
    ends = np.cumsum(runs)
    if not len(ends) or ends[-1] != height * width or min(runs) < 0:
        raise ValueError(f"run lengths fill {int(ends[-1]) if len(ends) else 0} of {height * width} pixels")
    mask = np.zeros((height, width), dtype=np.bool_)
    starts, stops = ends[0::2], ends[1::2]  # of the runs of ones; the last of `starts` may be the end of the mask
    if not len(stops) or starts[0] == stops[-1]:
        return mask
    # Only the columns from the first run of ones to the last are made and turned to rows.
    left, right = int(starts[0]) // height, -(-int(stops[-1]) // height)
    columns = np.zeros((right - left, height), dtype=np.uint8)
    flat, before = columns.ravel(), left * height
    for start, stop in zip((starts - before).tolist(), (stops - before).tolist(), strict=False):
        flat[start:stop] = 1
    mask.view(np.uint8)[:, left:right] = cv2.transpose(columns)
    return mask
