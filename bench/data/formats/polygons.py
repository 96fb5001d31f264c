"""Polygons to masks, pixel for pixel as pycocotools paints them, those of a whole image at once.

Source: `common/maskApi.c` of the COCO API, function `rleFrPoly`. A polygon is drawn five times finer,
its outline walked point by point, and pixel centres inside by the even-odd rule are filled. Of that
walk only the steps across the centres of a column of pixels decide anything, so only these are worked
out here, and nothing is filled. pycocotools is the oracle in the tests.

Masks become polygons along the edges of their pixels, which give back the same pixels when filled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.records import Size
from bench.records.mask_runs import MaskRuns
from bench.records.run_kernels import KERNELS

FINER = 5
"""Grid points per pixel along each side."""

CENTRE = FINER // 2
"""Grid point at the centre of the first pixel."""

FARTHEST = 2.0**28
"""Coordinates beyond are an error in the file; pycocotools would overflow."""

Corners: TypeAlias = NDArray[np.float64]
"""x and y in pixels, float64, (P, 2); the image begins at (0, 0), the centre of its first pixel is (0.5, 0.5)."""


def corners_of(points: Sequence[float] | NDArray[np.float64]) -> Corners:
    """Return corners of x1, y1, x2, y2, …; raises `ValueError` for fewer than three, or no finite number in reason."""
    corners = np.array(points, dtype=np.float64)
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
        raise ValueError("a polygon needs three or more pairs of numbers")
    if not (np.abs(corners) <= FARTHEST).all():  # nan is neither
        raise ValueError("a coordinate is no finite number of pixels")
    return corners.reshape(-1, 2)


def polygon_mask(points: Sequence[float] | NDArray[np.float64], size: Size) -> NDArray[np.bool_]:
    """Fill one closed polygon, x1, y1, x2, y2, …; see `corners_of` and `polygon_masks`.

    >>> polygon_mask([1, 0, 3, 0, 3, 2, 1, 2], Size(3, 4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    return np.asarray(polygon_masks([[corners_of(points)]], size)[0])


def polygon_masks(objects: Sequence[Sequence[Corners]], size: Size) -> NDArray[np.bool_]:
    """Fill the polygons of each object, bool, (N, H, W); see `polygon_runs`."""
    return polygon_runs(objects, size).drawn()


def polygon_runs(objects: Sequence[Sequence[Corners]], size: Size) -> MaskRuns:
    """Return the masks of objects, each the union of its polygons, without drawing them.

    Args:
        objects: Closed polygons of each object, which may leave the image. Where a polygon crosses itself the even-odd
            rule decides, so a line walked there and back leaves no trace.
    """
    polygons = [corners for one in objects for corners in one]
    if not polygons:
        nothing = np.zeros(0, dtype=np.int64)
        return MaskRuns.of_intervals(nothing, nothing, nothing, len(objects), size)
    # Down a column each crossing turns inside to outside or back. Every column of a polygon is crossed an even number
    # of times, so that each begins outside, and so does each polygon.
    counts = [len(one) for one in objects]
    if "turns" in KERNELS:
        lengths = np.array([len(one) for one in polygons], dtype=np.int64)
        return compiled_runs(np.concatenate(polygons), lengths, counts, size)
    turns = _turns(polygons, size)
    if counts == [1] * len(objects):
        return MaskRuns.of_turns(turns.places, turns.ends, size)
    return _united(turns, counts, size)


def compiled_runs(corners: Corners, lengths: NDArray[np.int64], counts: Sequence[int], size: Size) -> MaskRuns:
    """Return the same by a compiled loop, see `bench.records.run_kernels`.

    Args:
        corners: Corners of all polygons, one after the other.
        lengths: Number of corners of each polygon.
        counts: Number of polygons of each object.
    """
    turns = _compiled_turns(corners, lengths, size)
    if len(counts) == len(lengths) and min(counts, default=1) == 1:
        return MaskRuns(turns.places, turns.ends, size)  # none is there twice
    return _united(turns, counts, size)


def _united(turns: _Turns, counts: Sequence[int], size: Size) -> MaskRuns:
    """Return the union of the polygons of each object, of which `counts` says how many it has."""
    owners = np.repeat(np.repeat(np.arange(len(counts)), counts), np.diff(turns.ends, prepend=0) // 2)
    return MaskRuns.of_intervals(turns.places[::2], turns.places[1::2], owners, len(counts), size)


class _Turns(NamedTuple):
    """Places, column * height + row, at which outlines turn inside to outside or back, rising, polygon after polygon.

    Attributes:
        places: Places of the turns, int64, (T,).
        ends: Position at which the places of each polygon end, int64, (polygons,).
    """

    places: NDArray[np.int64]
    ends: NDArray[np.int64]


def _compiled_turns(corners: Corners, lengths: NDArray[np.int64], size: Size) -> _Turns:
    ends, room = np.empty(len(lengths), dtype=np.int64), 2 * size.width * len(lengths)
    while True:
        places, columns = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        count = KERNELS["turns"](corners, lengths, size.height, size.width, places, columns, ends)
        if count <= room:
            return _Turns(places[: KERNELS["sort_turns"](places, columns, size.width, ends)], ends)
        room = count


class _Edges(NamedTuple):
    """Edges on the finer grid, each from its smaller end along its longer side, int64, (E,); slopes float64.

    Attributes:
        x, y: The smaller end.
        slope: Slope of x over y where `steep`, else of y over x.
        steep: True if the edge is longer along y.
        left, right: Smallest and largest x.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    slope: NDArray[np.float64]
    steep: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def chosen(self, rows: NDArray[np.intp]) -> _Edges:
        """Return some of them, as often as they are named."""
        return _Edges(self.x[rows], self.y[rows], self.slope[rows], self.steep[rows], self.left[rows], self.right[rows])


def _turns(polygons: Sequence[Corners], size: Size) -> _Turns:
    lengths = np.array([len(points) for points in polygons])
    edges = _edges(np.concatenate(polygons), lengths)
    # A step crosses a column of centres where it leads from x = 5 k + 2 to 5 k + 3 of the finer grid, or back.
    first = np.maximum(-((CENTRE - edges.left) // FINER), 0)
    last = np.minimum((edges.right - 1 - CENTRE) // FINER, size.width - 1)
    counts = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    columns = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = columns * FINER + CENTRE
    top = np.empty(len(edge), dtype=np.int64)
    steep = edges.steep[edge]
    for chosen, upper in ((~steep, _top_of_flat), (steep, _top_of_steep)):
        top[chosen] = upper(edges.chosen(edge[chosen]), at[chosen])
    # The first row whose pixel centre lies below is ceil((top + 0.5) / 5 - 0.5), exact in integers.
    rows = np.clip(-(-(2 * top + 1 - FINER) // (2 * FINER)), 0, size.height)
    ends = np.cumsum(counts)[np.cumsum(lengths) - 1]
    before = np.repeat(np.arange(len(polygons)), np.diff(ends, prepend=0)) * (size.height * size.width + 1)
    return _Turns(np.sort(before + columns * size.height + rows) - before, ends)


def _edges(corners: Corners, lengths: NDArray[np.int64]) -> _Edges:
    """Return edges of closed polygons, whose corners follow each other."""
    # C truncates towards zero where NumPy's astype does the same.
    start = (corners * FINER + 0.5).astype(np.int64)
    following = np.arange(1, len(start) + 1)
    ends = np.cumsum(lengths)
    following[ends - 1] = ends - lengths
    end = start[following]
    across = np.abs(end - start)
    steep = across[:, 1] > across[:, 0]
    longer = steep.astype(np.int64)
    rows = np.arange(len(start))
    # An edge is drawn from its smaller end, so that both directions give the same points.
    backwards = (start[rows, longer] > end[rows, longer])[:, None]
    low, high = np.where(backwards, end, start), np.where(backwards, start, end)
    slope = (high - low)[rows, 1 - longer] / np.maximum(across[rows, longer], 1)
    return _Edges(low[:, 0], low[:, 1], slope, steep, np.minimum(start, end)[:, 0], np.maximum(start, end)[:, 0])


def _top_of_flat(edges: _Edges, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the upper y of the step from x = `at` to the next, of edges that have a point at every x."""
    steps = at - edges.x
    here = (edges.y + edges.slope * steps + 0.5).astype(np.int64)
    there = (edges.y + edges.slope * (steps + 1) + 0.5).astype(np.int64)
    return np.minimum(here, there)


def _top_of_steep(edges: _Edges, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the upper y of the step between x = `at` and the next, of edges that have a point at every y."""
    rising = edges.slope > 0

    def beyond(steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the point that many steps down the edge lies on the far side."""
        return np.asarray(((edges.x + edges.slope * steps + 0.5).astype(np.int64) > at) == rising)

    steps = np.ceil((at + 0.5 - edges.x) / edges.slope).astype(np.int64)
    # The division may be off by one; the points as they are drawn decide.
    steps -= beyond(steps - 1)
    steps += ~beyond(steps)
    return edges.y + steps - 1


Corner = tuple[int, int]


@dataclass(frozen=True)
class Outlines:
    """Closed outlines of a mask, each a list of corners (x, y) in pixels, first corner not repeated.

    Attributes:
        parts: Around every part (pixels that share a side).
        holes: Around every hole.
    """

    parts: tuple[tuple[Corner, ...], ...]
    holes: tuple[tuple[Corner, ...], ...]


def outlines(mask: NDArray[np.bool_]) -> Outlines:
    """Trace the edges between a mask, bool, (H, W), and what is not in it.

    >>> outlines(np.array([[True, True], [False, True]])).parts
    (((0, 0), (2, 0), (2, 2), (1, 2), (1, 1), (0, 1)),)
    """
    # Each edge runs with the mask on its right, so parts are walked clockwise (y points down) and holes the other way.
    ahead = _edges_ahead(mask)
    parts: list[tuple[Corner, ...]] = []
    holes: list[tuple[Corner, ...]] = []
    while ahead:
        corners = _without_straight(_walk(ahead, next(iter(ahead))))
        around = zip(corners, [*corners[1:], corners[0]], strict=True)
        doubled_area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in around)  # positive where it is clockwise
        (parts if doubled_area > 0 else holes).append(corners)
    return Outlines(tuple(parts), tuple(holes))


def _edges_ahead(mask: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Return corner -> the corners one pixel ahead of it."""
    padded = np.pad(mask, 1)
    inside, ahead = padded[1:-1, 1:-1], defaultdict(list)
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: left to right
        (inside & ~padded[1:-1, 2:], (1, 0), (1, 1)),  # right: downwards
        (inside & ~padded[2:, 1:-1], (1, 1), (0, 1)),  # below: right to left
        (inside & ~padded[1:-1, :-2], (0, 1), (0, 0)),  # left: upwards
    )
    for edges, (x1, y1), (x2, y2) in sides:
        for y, x in np.argwhere(edges).tolist():
            ahead[x + x1, y + y1].append((x + x2, y + y2))
    return dict(ahead)


def _walk(ahead: dict[Corner, list[Corner]], start: Corner) -> list[Corner]:
    """Follow edges from a corner back to it, using them up; where two meet, turn right: they are two parts."""
    loop, here, came = [start], start, (0, 0)
    while True:
        choices = ahead[here]
        right = (here[0] - came[1], here[1] + came[0])
        following = right if right in choices else choices[0]
        choices.remove(following)
        if not choices:
            del ahead[here]
        came = (following[0] - here[0], following[1] - here[1])
        here = following
        if here == start and (here not in ahead or (here[0] - came[1], here[1] + came[0]) not in ahead[here]):
            return loop
        loop.append(here)


def _without_straight(loop: list[Corner]) -> tuple[Corner, ...]:
    """Return corners at which the direction changes."""
    before, after = [loop[-1], *loop[:-1]], [*loop[1:], loop[0]]
    return tuple(
        here
        for last, here, following in zip(before, loop, after, strict=True)
        if (here[0] - last[0]) * (following[1] - here[1]) != (here[1] - last[1]) * (following[0] - here[0])
    )


def one_line(traced: Outlines) -> list[Corner]:
    """Return all outlines as one closed polygon: from the first to each other one and back over the same line.

    By the even-odd rule the lines there and back leave no trace, so holes and parts survive.
    """
    loops = [*traced.parts, *traced.holes]
    if not loops:
        return []
    anchor = loops[0][0]
    joined = [*loops[0]]
    for loop in loops[1:]:
        joined += [anchor, *loop, loop[0]]
    return joined
