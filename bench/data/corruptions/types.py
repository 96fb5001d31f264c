"""Defines a corruption: a function of an image, a severity and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.float64]
"""RGB, 0 to 1, (H, W, 3); what a corruption returns may lie outside and is cut off."""

Corrupt: TypeAlias = Callable[[Image, int, np.random.Generator], Image]
"""An image, its severity from 1 to 5 and random numbers -> the corrupted image, of the same size."""


def by_name(*made: Corrupt) -> dict[str, Corrupt]:
    """Return functions by their names, which are those of the corruptions."""
    return {one.__name__: one for one in made}
