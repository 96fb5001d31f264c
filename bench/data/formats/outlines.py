"""Masks to polygons along the edges of their pixels, which give back the same pixels when filled."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    ahead = _edges(mask)
    parts: list[tuple[Corner, ...]] = []
    holes: list[tuple[Corner, ...]] = []
    while ahead:
        start = next(iter(ahead))
        loop = _walk(ahead, start)
        corners = _without_straight(loop)
        (parts if _doubled_area(corners) > 0 else holes).append(corners)
    return Outlines(tuple(parts), tuple(holes))


def _edges(mask: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
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
    """Follow edges from a corner back to it, using them up; where two meet, turn right.

    So pixels that share only a corner are two parts.
    """
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


def _doubled_area(corners: tuple[Corner, ...]) -> int:
    """Twice the signed area; positive where the walk is clockwise on the screen."""
    following = [*corners[1:], corners[0]]
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(corners, following, strict=True))


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
