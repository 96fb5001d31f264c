"""Geometry of stacks of binary masks: areas, intersections, boundaries, eight pixels at a time.

A mask that is drawn is a row of 64-bit words, a byte per pixel. Adding up to 255 words adds eight pixels at once
without a carry, and only the words between the first and the last pixel of both masks are read. No
run lengths are made of it: encoding them costs more than everything that is done with them here. Masks that come as
runs, as those of files do, are compared as runs and not drawn.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records.compiled import compiled, given
from bench.records.instances import EncodedInstances, Instances
from bench.records.mask_runs import MaskRuns

_NO_CARRY = 255
"""Words of zeros and ones that can be added before a byte overflows."""

_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_SUM_OF_PAIRS = np.uint64(0x0001000100010001)
_STACK = f"{given('uint64', 2)}, int64[::1], int64[::1]"
"""Types of words, first and last of a stack."""


class MaskStack(NamedTuple):
    """Masks as words, with where their pixels lie.

    Attributes:
        words: uint64, (N, W); the pixels of a mask row by row, zeros at the end.
        first, last: Range of words that holds all of its pixels, int64, (N,); empty where `last` < `first`.
        areas: Pixels, int64, (N,).
    """

    words: NDArray[np.uint64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    areas: NDArray[np.int64]


def mask_stack(masks: NDArray[np.bool_]) -> MaskStack:
    """Measure masks, bool, (N, H, W)."""
    count, pixels = len(masks), int(np.prod(masks.shape[1:]))
    flat = np.ascontiguousarray(masks).reshape(count, pixels).view(np.uint8)
    if pixels % 8:
        flat = np.pad(flat, ((0, 0), (0, -pixels % 8)))
    words = flat.view(np.uint64)
    first, last, areas = (np.zeros(count, dtype=np.int64) for _ in range(3))
    if words.size:
        _measure(words, first, last, areas)
    else:
        last -= 1
    return MaskStack(words, first, last, areas)


Stack: TypeAlias = MaskStack | MaskRuns
"""Masks of one image that can be measured; two that are compared are of one kind."""


def stacks(one: Instances, other: Instances) -> tuple[Stack, Stack]:
    """Return the masks of both: as runs where either is, so that none is drawn, else as words."""
    if isinstance(one, EncodedInstances) or isinstance(other, EncodedInstances):
        return one.as_runs(), other.as_runs()
    return mask_stack(one.masks), mask_stack(other.masks)


def intersections(a: Stack, b: Stack, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the pixels that masks of two stacks share, int64, (N, M); zero where not `wanted`, (N, M)."""
    shared = np.zeros(wanted.shape, dtype=np.int64)
    if not shared.size:
        return shared
    if isinstance(a, MaskRuns) and isinstance(b, MaskRuns):
        _intersect_runs(a.edges, a.ends, b.edges, b.ends, wanted, shared)
    elif isinstance(a, MaskStack) and isinstance(b, MaskStack):
        if a.words.size:
            _intersect(*a[:3], *b[:3], wanted, shared)
    else:
        raise TypeError("masks as words are compared with masks as runs; see stacks()")
    return shared


def boundaries(masks: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return each mask without its erosion by a square of 2 * width + 1 pixels, bool, (N, H, W).

    What lies outside the image is not in a mask. Only the box around a mask is eroded.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    rims = np.zeros_like(masks)
    for mask, rim in zip(masks, rims, strict=True):
        left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
        box = np.s_[top : top + down, left : left + across]
        if across:
            crop = mask[box].astype(np.uint8)
            inner = cv2.erode(crop, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            rim[box] = crop > inner
    return rims


@compiled(f"void({', '.join([given('int64')] * 4)}, boolean[:, ::1], int64[:, ::1])")
def _intersect_runs(
    edges_a: NDArray[np.int64],
    ends_a: NDArray[np.int64],
    edges_b: NDArray[np.int64],
    ends_b: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    shared: NDArray[np.int64],
) -> None:
    """Pixels that wanted pairs of masks share, by walking along the runs of both; compiled."""
    first_a = 0
    for n in range(len(ends_a)):
        first_b = 0
        for m in range(len(ends_b)):
            i, j = first_a, first_b
            first_b = ends_b[m]
            if not wanted[n, m] or i == ends_a[n] or j == ends_b[m]:
                continue
            if edges_a[ends_a[n] - 1] <= edges_b[j] or edges_b[ends_b[m] - 1] <= edges_a[i]:
                continue  # one begins behind the end of the other
            total = 0
            while i < ends_a[n] and j < ends_b[m]:
                stop_a, stop_b = edges_a[i + 1], edges_b[j + 1]
                start, stop = max(edges_a[i], edges_b[j]), min(stop_a, stop_b)
                if stop > start:
                    total += stop - start
                if stop_a < stop_b:
                    i += 2
                else:
                    j += 2
            shared[n, m] = total
        first_a = ends_a[n]


@compiled(f"void({_STACK}, int64[::1])")
def _measure(
    words: NDArray[np.uint64], first: NDArray[np.int64], last: NDArray[np.int64], areas: NDArray[np.int64]
) -> None:
    """Range of words with pixels, to the block, and pixels of each mask; compiled."""
    for n in range(words.shape[0]):
        row = words[n]
        first[n], last[n] = 0, -1
        for start in range(0, words.shape[1], _NO_CARRY):
            stop = min(start + _NO_CARRY, words.shape[1])
            block = row[start:stop]  # a loop from 0 needs no check for negative indices, and is vectorised
            total = np.uint64(0)
            for i in range(len(block)):
                total += block[i]
            if total == 0:
                continue
            if last[n] < 0:
                first[n] = start
            last[n] = stop - 1
            pairs = (total & _EVEN_BYTES) + ((total >> np.uint64(8)) & _EVEN_BYTES)
            areas[n] += (pairs * _SUM_OF_PAIRS) >> np.uint64(48)


@compiled(f"void({_STACK}, {_STACK}, boolean[:, ::1], int64[:, ::1])")
def _intersect(
    words_a: NDArray[np.uint64],
    first_a: NDArray[np.int64],
    last_a: NDArray[np.int64],
    words_b: NDArray[np.uint64],
    first_b: NDArray[np.int64],
    last_b: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    shared: NDArray[np.int64],
) -> None:
    """Pixels that wanted pairs of masks share; compiled."""
    for n in range(words_a.shape[0]):
        for m in range(words_b.shape[0]):
            if not wanted[n, m]:
                continue
            row_a, row_b = words_a[n], words_b[m]
            start = max(first_a[n], first_b[m])
            high = min(last_a[n], last_b[m])
            while start <= high:
                stop = min(start + _NO_CARRY, high + 1)
                block_a, block_b = row_a[start:stop], row_b[start:stop]
                total = np.uint64(0)
                for i in range(len(block_a)):
                    total += block_a[i] & block_b[i]
                pairs = (total & _EVEN_BYTES) + ((total >> np.uint64(8)) & _EVEN_BYTES)
                shared[n, m] += (pairs * _SUM_OF_PAIRS) >> np.uint64(48)
                start = stop
