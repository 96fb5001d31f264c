"""Colours of single objects: shades of the colour of their class, so that neighbours of one class can be told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are far from each other however many there are (Weyl's sequence)."""

LIGHTEST, DARKEST = 0.55, 0.45
"""This says how far a shade goes towards white and towards black, as a share of the way."""


def shade(colour: tuple[int, int, int], number: int) -> tuple[int, int, int]:
    """Return the colour of an object.

    Args:
        colour: Colour of its class, RGB.
        number: Number of the object, counted from 0; 0 has the colour of the class itself.

    >>> shade((200, 100, 0), 0), shade((200, 100, 0), 1), shade((200, 100, 0), 2)
    ((200, 100, 0), (131, 66, 0), (214, 140, 66))
    """
    way = 2 * ((number * GOLDEN + 0.5) % 1.0) - 1
    lighter = [round(c + way * LIGHTEST * (255 - c)) if way > 0 else round(c * (1 + way * DARKEST)) for c in colour]
    return lighter[0], lighter[1], lighter[2]


def object_colours(
    objects: NDArray[np.int32], class_of: NDArray[np.int64], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return a colour for each object, uint8, (N + 1, 3); row 0, of pixels without an object, is black.

    Objects of one class are numbered in their order, so that the first few differ most.

    Args:
        objects: Number of the object of each pixel, from 1; 0 = none. (H, W); only those on it are numbered.
        class_of: Class id of object n at n - 1, (N,).
        colours: Colours of the classes, (K, 3).
    """
    found = np.zeros((len(class_of) + 1, 3), dtype=np.uint8)
    numbers: dict[int, int] = {}
    for index in np.unique(objects):
        if index:
            label = int(class_of[index - 1])
            red, green, blue = (int(part) for part in colours[label])
            found[index] = shade((red, green, blue), numbers.get(label, 0))
            numbers[label] = numbers.get(label, 0) + 1
    return found
