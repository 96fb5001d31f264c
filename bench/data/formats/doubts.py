"""Doubts about files: what one states twice of its objects, and differently, and outlines beyond their image.

The kinds of doubts are those of `bench data check`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.records import Size

REFUSED = ("order", "scale")
"""Kinds that make every score wrong; where most objects of a sample are so, nothing is trained on them."""


@dataclass(frozen=True)
class Doubt:
    """Objects of one image of which one kind of thing is to be doubted.

    Attributes:
        count: Objects of which it is so.
        what: The doubt, as it reads after the number of objects.
        example: The first such object, as an example.
    """

    kind: str
    count: int
    objects: int
    what: str
    example: str

    def describe(self) -> str:
        """Return one sentence, without its full stop."""
        return f"{self.count} of {self.objects} objects {self.what}, for example {self.example}"


def together(doubts: Iterable[Doubt], objects: int) -> list[Doubt]:
    """Doubts of many images, of `objects` together, as one for each thing that is so."""
    counted: dict[tuple[str, str], Doubt] = {}
    for doubt in doubts:
        before = counted.get((doubt.kind, doubt.what), replace(doubt, count=0))
        counted[doubt.kind, doubt.what] = replace(before, count=before.count + doubt.count, objects=objects)
    return list(counted.values())


NEAR = 2.0
"""Pixels by which the sides of two boxes of one object may differ: writers round, and include the last pixel or not."""
OVERLAP = 0.7
"""Intersection over union from which two boxes are one, whatever their sides."""
MOSTLY = 0.5
"""Share of a polygon beyond the edge from which it is not cut but elsewhere."""

SWAPPED = "fit their box or the image only with x and y in each other's place; COCO has x first"
OUTSIDE = "lie for the most part outside the image: they are of another image or another resolution"
SHARES = "have coordinates from 0 to 1: they are shares of the size, as in YOLO, where pixels are expected"
CUT = "reach beyond the image and are cut at its edge"


class Box(NamedTuple):
    """A box in pixels, from its left upper to its right lower corner."""

    left: float
    top: float
    right: float
    bottom: float

    def is_near(self, other: Box) -> bool:
        """Return whether both can be of one object: their sides are near, or they overlap enough."""
        if all(abs(a - b) <= NEAR for a, b in zip(self, other, strict=True)):
            return True
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(width, 0.0) * max(height, 0.0)
        union = self.area + other.area - shared
        return union > 0 and shared / union >= OVERLAP

    @property
    def area(self) -> float:
        """Pixels."""
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)

    def within(self, size: Size) -> Box:
        """Return the part of it that is in an image."""
        left, right = (min(max(x, 0.0), float(size.width)) for x in (self.left, self.right))
        top, bottom = (min(max(y, 0.0), float(size.height)) for y in (self.top, self.bottom))
        return Box(left, top, right, bottom)


def beyond_edge(outline: Box, size: Size) -> tuple[str, str] | None:
    """Return what to say of a polygon that reaches beyond the image."""
    inside = outline.within(size)
    if all(abs(a - b) <= 1 for a, b in zip(outline, inside, strict=True)):
        return None
    if inside.area > MOSTLY * outline.area:
        return "cut", CUT
    swapped = Box(outline.top, outline.left, outline.bottom, outline.right)
    return "scale", SWAPPED if swapped.within(size).area > 0.99 * swapped.area else OUTSIDE


def are_shares(outline: Box, size: Size) -> bool:
    """Return whether coordinates are shares of the size of the image, where pixels are expected."""
    return max(outline) <= 1 and min(outline) >= 0 and max(size) > 4


def edge_doubts(outlines: Iterable[tuple[str, Box | None]], size: Size, image: str) -> list[Doubt]:
    """Return objects that reach beyond their image.

    Args:
        outlines: Name of each object for messages, and the box around its corners; None where it has none.
    """
    named = list(outlines)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, box in named:
        told = None if box is None else ("scale", SHARES) if are_shares(box, size) else beyond_edge(box, size)
        if told is not None:
            found[told].append(name)
    return [
        Doubt(kind, len(names), len(named), what, f"{names[0]} of image {image}")
        for (kind, what), names in found.items()
    ]


def box_around(points: Iterable[tuple[float, float]]) -> Box | None:
    """Return the box around points, x and y; None where there are none."""
    listed = list(points)
    if not listed:
        return None
    across, down = zip(*listed, strict=True)
    return Box(min(across), min(down), max(across), max(down))
