"""Draw one scene of the `shapes` data set, in integers only.

Everything is computed from the raw 64-bit stream of PCG64, whose values NumPy guarantees for ever
(NEP 19 excludes only the derived distributions), by integer comparisons and shifts. No float, no
library rasteriser and no trigonometric function takes part, so a scene is bit-identical on every
machine and under every version of NumPy and OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import Segment

GENERATOR_VERSION = 1
"""Raised whenever any pixel of any scene changes."""

IntMap = NDArray[np.int64]
Mask = NDArray[np.bool_]

SKY, GROUND, WATER, DISC, SQUARE, TRIANGLE, RING, CROSS, DUMBBELL, HEXAGON = range(10)
STUFF = (SKY, GROUND, WATER)

# 1024 × (cos, sin) of k × 11.25°, written out so that no libm is asked.
TURNS = (
    (1024, 0), (1004, 200), (946, 392), (851, 569), (724, 724), (569, 851), (392, 946), (200, 1004),
    (0, 1024), (-200, 1004), (-392, 946), (-569, 851), (-724, 724), (-851, 569), (-946, 392), (-1004, 200),
)  # fmt: skip

COLOURS = (
    (150, 190, 235), (126, 148, 86), (58, 104, 158), (214, 74, 62), (235, 180, 52),
    (84, 168, 94), (150, 92, 178), (232, 126, 46), (64, 176, 176), (200, 110, 150),
)  # fmt: skip
"""Typical RGB colour of each class."""


@dataclass(frozen=True)
class Style:
    """State how hard a preset is.

    Attributes:
        objects: Least and most objects of a scene.
        radius: Least and largest radius, per mille of the shorter side.
        colour_cue: Per mille of objects that have their class's colour; the others draw any.
        stuff_cue: The same for sky, ground and water.
        noise: Largest deviation of a pixel, grey levels.
        crowd: Per mille of scenes with a crowd.
        classes: Thing classes that occur.
    """

    objects: tuple[int, int]
    radius: tuple[int, int]
    colour_cue: int
    stuff_cue: int
    noise: int
    crowd: int
    classes: tuple[int, ...]


PRESETS = {
    "easy": Style((2, 4), (150, 260), 900, 1000, 10, 150, (DISC, SQUARE, TRIANGLE, RING, DUMBBELL)),
    "standard": Style((3, 6), (100, 220), 350, 700, 18, 250, (DISC, SQUARE, TRIANGLE, RING, CROSS, DUMBBELL)),
    "hard": Style((5, 10), (60, 180), 0, 0, 30, 350, (DISC, SQUARE, TRIANGLE, RING, CROSS, DUMBBELL)),
}


@dataclass(frozen=True)
class Scene:
    """One drawn scene; all arrays have its size.

    Attributes:
        image: uint8, (H, W, 3), RGB.
        labels: uint8, (H, W); 255 = void.
        segment_ids: int32, (H, W); 0 = void.
        segments: One entry per id that occurs.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    segment_ids: NDArray[np.int32]
    segments: tuple[Segment, ...]


class Draws:
    """Integers from the raw stream of PCG64."""

    def __init__(self, *seeds: int) -> None:
        """Start the stream that these seeds name."""
        self._bits = np.random.PCG64(np.random.SeedSequence(seeds))

    def between(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included (multiply-shift, bias below 2⁻³²)."""
        return low + ((int(self._bits.random_raw()) >> 32) * (high - low + 1) >> 32)

    def chance(self, per_mille: int) -> bool:
        """True so often."""
        return self.between(0, 999) < per_mille

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """Uniform bytes."""
        words = -(-count // 8)
        return np.asarray(self._bits.random_raw(words)).astype("<u8").view(np.uint8)[:count]


def draw_scene(size: Size, preset: str, *seeds: int) -> Scene:
    """Draw the scene that the seeds name; same arguments, same bits."""
    return _Canvas(size, PRESETS[preset], Draws(*seeds)).finished()


class _Canvas:
    def __init__(self, size: Size, style: Style, draws: Draws) -> None:
        self._size, self._style, self._draws = size, style, draws
        self._rows = np.arange(size.height, dtype=np.int64)[:, None]
        self._columns = np.arange(size.width, dtype=np.int64)[None, :]
        self._labels: NDArray[np.uint8]
        self._colour: NDArray[np.int16]
        self._ids: NDArray[np.int32]
        self._things: list[Segment] = []

    def finished(self) -> Scene:
        """Paint stuff, objects, perhaps a crowd, and void, in this order, and return the scene."""
        self._paint_stuff()
        for _ in range(self._draws.between(*self._style.objects)):
            self._paint_object()
        if self._draws.chance(self._style.crowd):
            self._paint_crowd()
        self._paint_void()
        present = set(np.flatnonzero(np.bincount(self._ids.ravel())).tolist())
        stuff = tuple(Segment(1 + label, label) for label in STUFF)
        return Scene(
            image=self._image(),
            labels=self._labels,
            segment_ids=self._ids,
            segments=tuple(s for s in (*stuff, *self._things) if s.id in present),
        )

    def _paint_stuff(self) -> None:
        height, width = self._size
        draws = self._draws
        horizon = height * draws.between(300, 600) // 1000 + self._waves()
        # A lake: an ellipse that the horizon cuts off.
        a, b = max(2, width * draws.between(200, 420) // 1000), max(2, height * draws.between(90, 200) // 1000)
        x, y = draws.between(0, width - 1), height * draws.between(700, 950) // 1000
        ellipse = (self._columns - x) ** 2 * b * b + (self._rows - y) ** 2 * a * a <= a * a * b * b
        sky = self._rows < horizon
        self._labels = np.where(sky, np.uint8(SKY), np.where(ellipse, np.uint8(WATER), np.uint8(GROUND)))
        self._ids = self._labels.astype(np.int32) + 1
        texture = np.where(sky, self._pattern(SKY), np.where(ellipse, self._pattern(WATER), self._pattern(GROUND)))
        colours = np.zeros((1 + max(STUFF), 3), dtype=np.int16)
        for label in STUFF:
            shown = label if draws.chance(self._style.stuff_cue) else draws.between(0, len(COLOURS) - 1)
            colours[label] = self._jittered(COLOURS[shown], 14)
        self._colour = colours[self._labels] + texture[..., None]

    def _waves(self) -> IntMap:
        """Return an irregular border: three triangle waves over the columns, (1, W)."""
        height, width = self._size
        border = np.zeros((1, width), dtype=np.int64)
        for share in (60, 30, 15):
            period = max(4, width * self._draws.between(150, 700) // 1000)
            phase = self._draws.between(0, period - 1)
            ramp = (self._columns + phase) % period
            border += height * share * (np.abs(2 * ramp - period) * 2 - period) // (1000 * period)
        return border

    def _pattern(self, label: int) -> NDArray[np.int16]:
        """Return the texture that tells the stuff classes apart when colour does not, grey levels, (H, W) or (H, 1)."""
        cell = max(2, min(self._size) // 24)
        if label == SKY:
            pattern = self._rows * 40 // self._size.height - 20
        elif label == GROUND:
            pattern = ((self._columns // cell + self._rows // cell) % 2) * 16 - 8
        else:
            pattern = (self._rows // max(1, cell // 2) % 2) * 22 - 11
        return pattern.astype(np.int16)

    def _paint_object(self) -> None:
        draws, short = self._draws, min(self._size)
        kind = self._style.classes[draws.between(0, len(self._style.classes) - 1)]
        low, high = self._style.radius
        radius = max(3, short * draws.between(low, high) // 1000)
        x, y = draws.between(0, self._size.width - 1), draws.between(0, self._size.height - 1)
        segment = Segment(len(STUFF) + 1 + len(self._things), kind)
        self._things.append(segment)
        self._stamp(segment, x, y, radius, draws.between(0, len(TURNS) - 1), self._thing_colour(kind))

    def _paint_crowd(self) -> None:
        """Many small objects of one class, marked as one crowd."""
        draws, short = self._draws, min(self._size)
        kind = self._style.classes[draws.between(0, len(self._style.classes) - 1)]
        segment = Segment(len(STUFF) + 1 + len(self._things), kind, crowd=True)
        self._things.append(segment)
        radius = max(2, short * 45 // 1000)
        x, y = draws.between(0, self._size.width - 1), draws.between(0, self._size.height - 1)
        for _ in range(draws.between(6, 10)):
            dx, dy = draws.between(-4 * radius, 4 * radius), draws.between(-2 * radius, 2 * radius)
            self._stamp(segment, x + dx, y + dy, radius, draws.between(0, len(TURNS) - 1), self._thing_colour(kind))

    def _thing_colour(self, kind: int) -> NDArray[np.int16]:
        if self._draws.chance(self._style.colour_cue):
            return self._jittered(COLOURS[kind], 22)
        return self._jittered(COLOURS[self._draws.between(0, len(COLOURS) - 1)], 60)

    def _stamp(self, segment: Segment, x: int, y: int, radius: int, turn: int, colour: NDArray[np.int16]) -> None:
        """Paint one shape over whatever is there."""
        top, bottom = max(0, y - radius), min(self._size.height, y + radius + 1)
        left, right = max(0, x - radius), min(self._size.width, x + radius + 1)
        if top >= bottom or left >= right:
            return
        dy, dx = self._rows[top:bottom] - y, self._columns[:, left:right] - x
        mask = _shape(segment.class_id, dx, dy, radius, TURNS[turn])
        window = (slice(top, bottom), slice(left, right))
        self._labels[window][mask] = segment.class_id
        self._ids[window][mask] = segment.id
        # Lit from above: a little brighter at the top of each object, a little darker at its foot.
        light = np.broadcast_to(-dy * 26 // radius, mask.shape).astype(np.int16)
        self._colour[window][mask] = (colour + light[..., None])[mask]

    def _paint_void(self) -> None:
        """A band along one edge whose class nobody knows."""
        if not self._draws.chance(400):
            return
        height, width = self._size
        band = max(1, min(self._size) // 24)
        edge = (
            (slice(0, band), slice(None)),
            (slice(height - band, height), slice(None)),
            (slice(None), slice(0, band)),
            (slice(None), slice(width - band, width)),
        )[self._draws.between(0, 3)]
        self._labels[edge] = IGNORE_LABEL
        self._ids[edge] = 0

    def _jittered(self, colour: tuple[int, int, int], reach: int) -> NDArray[np.int16]:
        return np.array([c + self._draws.between(-reach, reach) for c in colour], dtype=np.int16)

    def _image(self) -> NDArray[np.uint8]:
        pixels = self._size.height * self._size.width
        noise = self._draws.bytes(pixels * 3).reshape(*self._size, 3).astype(np.int16)
        noise *= 2 * self._style.noise + 1
        noise >>= 8
        noise += self._colour
        noise -= self._style.noise
        return np.clip(noise, 0, 255).astype(np.uint8)


def _shape(kind: int, dx: IntMap, dy: IntMap, radius: int, turn: tuple[int, int]) -> Mask:
    """Return pixels of a shape around its centre.

    Args:
        kind: Thing class.
        dx: Column offsets, shape (1, w).
        dy: Row offsets, shape (h, 1).
        radius: Radius of the circle the shape fits in.
        turn: 1024 × (cos, sin) of its rotation.
    """
    cos, sin = turn
    far = dx * dx + dy * dy
    u, v, r = dx * cos + dy * sin, dy * cos - dx * sin, 1024 * radius  # (h, w), 1024ths of a pixel
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    mask: Mask
    if kind == DISC:
        mask = far <= radius * radius
    elif kind == RING:
        mask = (far <= radius * radius) & (far * 100 >= 25 * radius * radius)
    elif kind == SQUARE:
        mask = long * 1000 <= 707 * r
    elif kind == TRIANGLE:
        mask = (2 * v <= r) & (1732 * np.abs(u) - 1000 * v <= 1000 * r)
    elif kind == CROSS:
        mask = (long * 100 <= 94 * r) & (short * 100 <= 30 * r)
    else:  # DUMBBELL: one object in two parts that do not touch.
        reach, part = 58 * r // 100, 40 * r // 100
        mask = (np.abs(u) - reach) ** 2 + v * v <= part * part
    return mask
