"""The loops over run lengths and polygons, compiled, for a process that reads thousands of images.

Without them arrays do the same, at some twenty calls of NumPy for each image. Compiling takes seconds once, and numba
a second in every process, so that only who scores many images asks for it: `read_many`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.compiled import compiled

MANY = 500
"""Images from which on compiled loops pay."""

KERNELS: dict[str, Callable[..., Any]] = {}
"""Name -> compiled loop; empty until `read_many` is called."""


def read_many(images: int) -> None:
    """Let run lengths and polygons be read by compiled loops from now on, if there are many images to read."""
    if images < MANY or KERNELS:
        return
    import numba

    counts, codes = numba.int64[::1], numba.types.Array(numba.uint8, 1, "C", readonly=True)
    corners = numba.float64[:, ::1]
    KERNELS["decode"] = compiled(_decode, numba.int64(codes, counts, numba.int64, counts, counts))
    KERNELS["turns"] = compiled(_turns, numba.int64(corners, counts, numba.int64, numba.int64, counts, counts))


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
            more = True
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


def _turns(
    corners: NDArray[np.float64],
    lengths: NDArray[np.int64],
    height: int,
    width: int,
    places: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    """Find where outlines cross centres of columns, rising, by polygon; return their number, which may exceed `places`.

    Crossings at one place cancel out by twos. Formulas as in `bench/data/formats/polygons.py`; compiled.
    """
    x0: Any  # numba's int64, as all of these
    y0: Any
    x1: Any
    y1: Any
    count = start = 0
    for n in range(len(lengths)):
        first_place = count
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
                    places[count] = column * height + row
                count += 1
        if count <= len(places):
            places[first_place:count].sort()
            kept = first_place  # a place that is there twice is entered and left at once
            for k in range(first_place, count):
                if kept > first_place and places[kept - 1] == places[k]:
                    kept -= 1
                else:
                    places[kept] = places[k]
                    kept += 1
            count = kept
        ends[n] = count
        start += lengths[n]
    return count
