"""Distances between the surfaces of masks: what all surface metrics are made of.

The surface of a mask is the pixels of it that have a pixel outside it beside them (above, below, left, right; in a
volume also before and behind). What lies outside the image is outside the mask. For each surface pixel of one mask
the distance of its centre to the nearest surface pixel's centre of the other mask is exact, in millimetres where the
spacing is known.

Only distances that are asked for are worked out. In the box around both surfaces every row of pixels first learns how
far the nearest surface pixel of the row is; a surface pixel of the other mask then looks at rows farther and farther
away until none can be nearer. Good predictions end after a few rows, and no map of distances is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics._confusion import require_classes
from bench.records import ClassSpec, Spacing, background_class, void_of
from bench.records.compiled import compiled, given
from bench.records.predictions import SemanticMap

_FAR = 1 << 24
"""Distance of a row without a surface pixel, in pixels: more than any image has, and its square fits a float."""


class Points(NamedTuple):
    """Surface pixels of all classes of a map, class by class.

    Attributes:
        places: int32, (P, 3): slice (0 of an image), row, column.
        starts: int64, (K + 1,): those of class c are `places[starts[c] : starts[c + 1]]`.
    """

    places: NDArray[np.int32]
    starts: NDArray[np.int64]

    def of(self, class_id: int) -> NDArray[np.int32]:
        """Surface pixels of a class, (P, 3)."""
        return self.places[self.starts[class_id] : self.starts[class_id + 1]]


class Distances(NamedTuple):
    """Distances of a class between two maps, in both directions; both are empty where one has none of it.

    Attributes:
        to_predicted: Distance from each true surface pixel to the nearest predicted one, float64, (P,).
        to_target: Distance from each predicted surface pixel to the nearest true one, float64, (Q,).
        missed: True if the class is true and nowhere predicted.
        invented: True if it is predicted and nowhere true.
    """

    class_id: int
    to_predicted: NDArray[np.float64]
    to_target: NDArray[np.float64]
    missed: bool = False
    invented: bool = False


def surface_points(labels: NDArray[np.integer[Any]], num_classes: int, *, without: int | None = None) -> Points:
    """Find the surface pixels of every class of a map, (H, W), or of a volume, (S, H, W).

    Ids from `num_classes` on are of no class; a pixel beside one lies on the surface. The class `without` has none.
    """
    ids = labels if labels.dtype in (np.uint8, np.uint16) else labels.astype(np.uint16)
    ids = np.ascontiguousarray(ids if ids.ndim == 3 else ids[None])
    marks = np.zeros((*ids.shape[:2], -(-ids.shape[2] // 8) * 8), dtype=np.uint8)
    wanted = np.arange(num_classes) != (-1 if without is None else without)
    counts = np.zeros(num_classes, dtype=np.int64)
    if not ids.size:
        return Points(np.empty((0, 3), dtype=np.int32), np.zeros(num_classes + 1, dtype=np.int64))
    _mark(ids, labels.ndim == 2, marks)
    words = marks.view(np.uint64)
    _gather(ids, words, wanted, counts, np.empty((0, 3), dtype=np.int32))
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    places = np.empty((int(starts[-1]), 3), dtype=np.int32)
    _gather(ids, words, wanted, starts[:-1].copy(), places)
    return Points(places, starts)


def nearest_distances(
    queries: NDArray[np.int32], surface: NDArray[np.int32], steps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance from each query to the nearest surface pixel.

    Args:
        queries, surface: Slice, row and column, int32, (Q, 3) and (P, 3); P >= 1.
        steps: Distance between neighbours along each axis, float64, (3,).

    Returns:
        float64, (Q,), in the unit of `steps`; exact to rounding.
    """
    found = np.zeros(len(queries), dtype=np.float64)
    if len(queries):
        low = np.minimum(queries.min(axis=0), surface.min(axis=0))
        shape = np.maximum(queries.max(axis=0), surface.max(axis=0)) - low + 1
        grid = np.full(tuple(shape.tolist()), _FAR, dtype=np.int32)
        filled = np.zeros(tuple(shape[:2].tolist()), dtype=np.bool_)
        _nearest(queries, surface, low.astype(np.int64), steps, grid, filled, found)
    return found


def step_sizes(spacing: Spacing | None) -> NDArray[np.float64]:
    """Distance between neighbours along slice, row and column: of the spacing, or 1 pixel each."""
    if spacing is None:
        return np.ones(3)
    return np.array([spacing.slice or 1.0, spacing.row, spacing.column], dtype=np.float64)


def diagonal(shape: tuple[int, ...], spacing: Spacing | None) -> float:
    """Largest distance of two pixels' outer corners in an image or volume: what a miss costs."""
    steps = step_sizes(spacing)[-len(shape) :]
    return hypot(*(steps * np.array(shape)).tolist())


def class_distances(target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]) -> list[Distances]:
    """Distances of every class that occurs in either map, background left out.

    Void pixels of the target are removed from both maps first: what is predicted there is never judged, and an edge
    against void is an edge of both. The result for the last pair is kept, because several metrics ask for it.

    Raises:
        ShapeError: If the target holds an id that is neither a class nor void.
    """
    global _last
    if _last is not None and _last[0] is target and _last[1] is predicted and _last[2] is classes:
        return _last[3]
    found = _class_distances(target, predicted, classes)
    _last = target, predicted, classes, found
    return found


_last: tuple[SemanticMap, SemanticMap, Sequence[ClassSpec], list[Distances]] | None = None


def _class_distances(target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]) -> list[Distances]:
    void, labels = void_of(target.labels), target.labels
    require_classes(labels, num_classes=len(classes), ignore=void)
    seen = np.where(labels == void, void, predicted.labels)
    steps, background = step_sizes(target.spacing), background_class(classes)
    true_points, seen_points = (surface_points(m, len(classes), without=background) for m in (labels, seen))
    found = []
    for class_id in range(len(classes)):
        if class_id != background:
            both = distances_of(class_id, true_points.of(class_id), seen_points.of(class_id), steps)
            found += [] if both is None else [both]
    return found


def distances_of(
    class_id: int, true: NDArray[np.int32], seen: NDArray[np.int32], steps: NDArray[np.float64]
) -> Distances | None:
    """Distances between two surfaces; None where neither has a pixel."""
    if not len(true) and not len(seen):
        return None
    if not len(true) or not len(seen):
        nothing = np.empty(0)
        return Distances(class_id, nothing, nothing, missed=not len(seen), invented=not len(true))
    return Distances(class_id, nearest_distances(true, seen, steps), nearest_distances(seen, true, steps))


@compiled(*(f"void({given(of, 3)}, boolean, uint8[:, :, ::1])" for of in ("uint8", "uint16")))
def _mark(ids: NDArray[np.integer[Any]], flat: bool, marks: NDArray[np.uint8]) -> None:
    """Mark pixels with another id beside them, and those at the edge of the image; compiled."""
    slices, rows, columns = ids.shape
    for z in range(slices):
        for y in range(rows):
            row, line = ids[z, y], marks[z, y]
            if y == 0 or y == rows - 1 or (not flat and (z == 0 or z == slices - 1)):
                for x in range(columns):
                    line[x] = 1
                continue
            above, below = ids[z, y - 1], ids[z, y + 1]
            for x in range(columns):
                line[x] = ((row[x] ^ above[x]) | (row[x] ^ below[x])) != 0
            # Slices that begin at 0 need no check for negative indices, and are vectorised.
            left, here, line_right = row[:-1], row[1:], line[1:]
            for x in range(columns - 1):
                line_right[x] |= (left[x] ^ here[x]) != 0
            for x in range(columns - 1):
                line[x] |= (left[x] ^ here[x]) != 0
            if not flat:
                before, behind = ids[z - 1, y], ids[z + 1, y]
                for x in range(columns):
                    line[x] |= ((row[x] ^ before[x]) | (row[x] ^ behind[x])) != 0
            line[0] = 1
            line[columns - 1] = 1


@compiled(
    *(f"void({given(of, 3)}, uint64[:, :, ::1], boolean[::1], int64[::1], int32[:, ::1])" for of in ("uint8", "uint16"))
)
def _gather(
    ids: NDArray[np.integer[Any]],
    words: NDArray[np.uint64],
    wanted: NDArray[np.bool_],
    next_place: NDArray[np.int64],
    places: NDArray[np.int32],
) -> None:
    """Count marked pixels by class in `next_place`, and write them there if `places` has room for any; compiled."""
    for z in range(words.shape[0]):
        for y in range(words.shape[1]):
            row, marked = ids[z, y], words[z, y]
            for w in range(len(marked)):
                word = marked[w]
                if word == 0:
                    continue
                for k in range(8):
                    if (word >> np.uint64(8 * k)) & np.uint64(1):
                        label = row[8 * w + k]
                        if label < len(wanted) and wanted[label]:
                            place = next_place[label]
                            if len(places):
                                places[place, 0], places[place, 1], places[place, 2] = z, y, 8 * w + k
                            next_place[label] = place + 1


@compiled(
    f"void({given('int32', 2)}, {given('int32', 2)}, int64[::1], {given('float64')}, "
    "int32[:, :, ::1], boolean[:, ::1], float64[::1])"
)
def _nearest(
    queries: NDArray[np.int32],
    surface: NDArray[np.int32],
    low: NDArray[np.int64],
    steps: NDArray[np.float64],
    grid: NDArray[np.int32],
    filled: NDArray[np.bool_],
    found: NDArray[np.float64],
) -> None:
    """Distance of each query to the nearest surface pixel; `grid` and `filled` are scratch; compiled."""
    slices, rows, columns = grid.shape
    far = grid[0, 0, 0]
    for p in range(surface.shape[0]):
        z, y = surface[p, 0] - low[0], surface[p, 1] - low[1]
        grid[z, y, surface[p, 2] - low[2]] = 0
        filled[z, y] = True
    for z in range(slices):
        for y in range(rows):
            if not filled[z, y]:
                continue
            line = grid[z, y]
            ago = far
            for x in range(columns):
                ago = 0 if line[x] == 0 else min(ago + 1, far)
                line[x] = ago
            ago = far
            for x in range(columns - 1, -1, -1):
                ago = 0 if line[x] == 0 else min(ago + 1, far)
                line[x] = min(line[x], ago)
    for q in range(queries.shape[0]):
        z, y, x = queries[q, 0] - low[0], queries[q, 1] - low[1], queries[q, 2] - low[2]
        best = np.inf
        for dz in range(slices):
            across = (dz * steps[0]) ** 2
            if across >= best or (z - dz < 0 and z + dz >= slices):
                break
            for side_z in range(2):
                zz = z - dz if side_z == 0 else z + dz
                if zz < 0 or zz >= slices or (dz == 0 and side_z == 1):
                    continue
                for dy in range(rows):
                    away = across + (dy * steps[1]) ** 2
                    if away >= best or (y - dy < 0 and y + dy >= rows):
                        break
                    above, below = y - dy, y + dy
                    if above >= 0 and filled[zz, above]:
                        best = min(best, away + (grid[zz, above, x] * steps[2]) ** 2)
                    if below < rows and filled[zz, below]:
                        best = min(best, away + (grid[zz, below, x] * steps[2]) ** 2)
        found[q] = np.sqrt(best)
