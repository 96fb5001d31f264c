"""Place short texts beside points so that none covers another text or a marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

DIRECTIONS = (0, 180, 60, -60, 120, -120, 90, -90, 30, -30, 150, -150)
STEPS = 30
COVERED, CROSSED = 1e6, 6.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Return whether the two share an area."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, outer: Box) -> bool:
        """Return whether it lies in the other entirely."""
        return (
            self.left >= outer.left
            and self.right <= outer.right
            and self.bottom >= outer.bottom
            and self.top <= outer.top
        )


@dataclass(frozen=True)
class Anchor:
    """A point that wants a label.

    Attributes:
        x, y: Centre of its marker, pixels.
        width, height: Size of its label, pixels.
    """

    x: float
    y: float
    width: float
    height: float


def place(anchors: Sequence[Anchor], *, frame: Box, radius: float, lines: Sequence[Box]) -> list[Box]:
    """Choose a rectangle for every label, the most crowded points first.

    Args:
        anchors: Points with the size of their labels.
        frame: Rectangle in which labels may lie.
        radius: Radius of a marker with its margin, pixels.
        lines: Thin rectangles (error bars) that labels rather avoid.

    Returns:
        One rectangle per anchor, in order. They overlap neither each other nor a marker, unless
        the frame is too full.
    """
    markers = [Box(a.x - radius, a.y - radius, a.x + radius, a.y + radius) for a in anchors]
    placed: dict[int, Box] = {}
    for position in sorted(range(len(anchors)), key=lambda i: (-_close_labels(anchors, i), i)):
        solid = [*placed.values(), *markers]
        candidates = _candidates(anchors[position], radius)
        _, _, best = min(
            (_cost(box, far, solid, lines, frame), order, box) for order, (far, box) in enumerate(candidates)
        )
        placed[position] = best
    return [placed[position] for position in range(len(anchors))]


def _close_labels(anchors: Sequence[Anchor], position: int) -> int:
    one = anchors[position]
    return sum(abs(a.x - one.x) < one.width and abs(a.y - one.y) < 3 * one.height for a in anchors)


def _candidates(anchor: Anchor, radius: float) -> list[tuple[float, Box]]:
    """Rectangles around the point, with their distance from it in steps."""
    found = []
    for step in range(STEPS):
        reach = radius * (1.15 + 0.7 * step)
        for degrees in DIRECTIONS:
            across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            # The rectangle touches the circle of this reach with the side or corner that faces it.
            half_width, half_height = anchor.width / 2, anchor.height / 2
            side = (round(across, 3) > 0) - (round(across, 3) < 0)
            x, y = anchor.x + reach * across + half_width * side, anchor.y + reach * up + half_height * up
            found.append((float(step), Box(x - half_width, y - half_height, x + half_width, y + half_height)))
    return found


def _cost(box: Box, far: float, solid: Sequence[Box], lines: Sequence[Box], frame: Box) -> float:
    covered = sum(box.overlaps(other) for other in solid) + 3 * (not box.within(frame))
    return covered * COVERED + sum(box.overlaps(other) for other in lines) * CROSSED + far
