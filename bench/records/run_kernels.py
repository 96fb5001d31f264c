"""The loops over run lengths and polygons, compiled, for a process that reads thousands of images.

Without them arrays do the same, at some twenty calls of NumPy for each image. Compiling takes seconds once, and numba
a second in every process, so that only who scores many images asks for it: `read_many`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.compiled import compiled, given

MANY = 500
"""Images from which on compiled loops pay."""

FEW = 32
"""Crossings of a column up to which they are sorted one by one."""

KERNELS: dict[str, Callable[..., Any]] = {}
"""Name -> compiled loop; empty until `read_many` is called."""


def read_many(images: int) -> None:
    """Let run lengths and polygons be read by compiled loops from now on, if there are many images to read."""
    if images >= MANY:
        KERNELS.update(decode=_decode, encode=_encode, turns=_turns, sort_turns=_sort_turns)


@compiled(f"int64({given('int64')}, {given('int64')}, int64, uint8[::1], int64[::1])")
def _encode(
    edges: NDArray[np.int64],
    ends: NDArray[np.int64],
    pixels: int,
    codes: NDArray[np.uint8],
    text_ends: NDArray[np.int64],
) -> int:
    """Write masks as COCO's compressed texts; the number of characters; compiled."""
    value: Any  # numba's int64, as all of these
    count = k = 0
    for m in range(len(ends)):
        first, place = k, 0
        last = before_last = 0
        while k < ends[m] or (k == ends[m] and (place < pixels or k == first)):
            place, length = (edges[k], edges[k] - place) if k < ends[m] else (pixels, pixels - place)
            value = length - before_last if k - first > 2 else length
            before_last, last = last, length
            k += 1
            more = True
            while more:
                code = value & 31
                value >>= 5
                more = value != (-1 if code & 16 else 0)
                codes[count] = code + (80 if more else 48)
                count += 1
        k = ends[m]
        text_ends[m] = count
    return count


@compiled(f"int64({given('uint8')}, int64[::1], int64, int64[::1], int64[::1])")
def _decode(
    codes: NDArray[np.uint8],
    text_ends: NDArray[np.int64],
    pixels: int,
    edges: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    """Read COCO's compressed texts to the edges of masks; the number of edges, -1 if a text is none; compiled."""
    value: Any  # numba's int64, as all of these
    count = p = 0
    for m in range(len(text_ends)):
        first, index, place = count, 0, 0
        last = before_last = 0
        while p < text_ends[m]:
            value = shift = 0
            code = np.int64(codes[p]) - 48
            more = code < 0 or code > 31
            if not more:  # a number of one character, as most are
                value = code - 32 if code & 16 else code
                p += 1
            while more:
                code = np.int64(codes[p]) - 48 if p < text_ends[m] else np.int64(-1)
                if code < 0 or code > 63 or shift > 55:
                    return -1
                value |= (code & 31) << shift
                more = (code & 32) != 0
                shift += 5
                p += 1
                if not more and (code & 16) != 0:
                    value -= np.int64(1) << shift
            if index > 2:
                value += before_last
            if value < 0 or value > pixels:
                return -1
            if index > 0:  # where a run ends and another begins; a run of no pixels is no run
                if count > first and edges[count - 1] == place:
                    count -= 1
                else:
                    edges[count] = place
                    count += 1
            place += value
            before_last, last = last, value
            index += 1
        if place != pixels:
            return -1
        if index > 0 and index % 2 == 0:
            if count > first and edges[count - 1] == place:
                count -= 1
            else:
                edges[count] = place
                count += 1
        ends[m] = count
    return count


@compiled("int64(float64[:, ::1], int64[::1], int64, int64, int64[::1], int64[::1], int64[::1])")
def _turns(
    corners: NDArray[np.float64],
    lengths: NDArray[np.int64],
    height: int,
    width: int,
    places: NDArray[np.int64],
    columns: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    """Find where outlines cross centres of columns, by polygon; return their number, which may exceed `places`.

    Formulas as in `bench/data/formats/polygons.py`; compiled.
    """
    x0: Any  # numba's int64, as all of these
    y0: Any
    x1: Any
    y1: Any
    count = start = 0
    for n in range(len(lengths)):
        for k in range(lengths[n]):
            here, following = start + k, start + (k + 1 if k + 1 < lengths[n] else 0)
            x0, y0 = np.int64(corners[here, 0] * 5 + 0.5), np.int64(corners[here, 1] * 5 + 0.5)
            x1, y1 = np.int64(corners[following, 0] * 5 + 0.5), np.int64(corners[following, 1] * 5 + 0.5)
            steep = abs(y1 - y0) > abs(x1 - x0)
            # An edge is drawn from its smaller end, so that both directions give the same points.
            if (y0 > y1) if steep else (x0 > x1):
                x0, y0, x1, y1 = x1, y1, x0, y0
            slope = (x1 - x0) / max(y1 - y0, 1) if steep else (y1 - y0) / max(x1 - x0, 1)
            left, right = min(x0, x1), max(x0, x1)
            for column in range(max(-((2 - left) // 5), 0), min((right - 3) // 5, width - 1) + 1):
                at = column * 5 + 2
                if steep:
                    steps = np.int64(np.ceil((at + 0.5 - x0) / slope))
                    rising = slope > 0
                    if (np.int64(x0 + slope * (steps - 1) + 0.5) > at) == rising:
                        steps -= 1
                    if (np.int64(x0 + slope * steps + 0.5) > at) != rising:
                        steps += 1
                    top = y0 + steps - 1
                else:
                    steps = at - x0
                    top = min(np.int64(y0 + slope * steps + 0.5), np.int64(y0 + slope * (steps + 1) + 0.5))
                row = min(max(-((4 - 2 * top) // 10), 0), height)
                if count < len(places):
                    places[count], columns[count] = column * height + row, column
                count += 1
        ends[n] = count
        start += lengths[n]
    return count


@compiled("int64(int64[::1], int64[::1], int64, int64[::1])")
def _sort_turns(places: NDArray[np.int64], columns: NDArray[np.int64], width: int, ends: NDArray[np.int64]) -> int:
    """Sort the places of each polygon, of which two that are alike cancel out; return how many are left; compiled."""
    ordered, heads = np.empty(len(places), dtype=np.int64), np.empty(width + 2, dtype=np.int64)
    first = kept = 0
    for n in range(len(ends)):
        stop, begun = ends[n], kept
        count = stop - first
        left = columns[first:stop].min() if count else 0
        across = columns[first:stop].max() - left + 1 if count else 0
        heads[: across + 1] = 0
        for k in range(first, stop):
            heads[columns[k] - left + 1] += 1
        if count and heads[: across + 1].max() > FEW:
            ordered[:count] = places[first:stop]
            ordered[:count].sort()
        else:  # by column first, then among the few of each column
            for c in range(across):
                heads[c + 1] += heads[c]
            for k in range(first, stop):
                ordered[heads[columns[k] - left]] = places[k]
                heads[columns[k] - left] += 1
            for k in range(1, count):
                place, behind = ordered[k], k
                while behind > 0 and ordered[behind - 1] > place:
                    ordered[behind] = ordered[behind - 1]
                    behind -= 1
                ordered[behind] = place
        for k in range(count):
            if kept > begun and places[kept - 1] == ordered[k]:  # entered and left at once
                kept -= 1
            else:
                places[kept] = ordered[k]
                kept += 1
        first, ends[n] = stop, kept
    return kept
