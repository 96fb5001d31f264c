"""Checks whether outputs are logits, or the probabilities behind an activation, as a model config claims; no torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-3
"""This says how far probabilities of half precision lie outside 0 and 1, or their sum from 1."""


class Doubt(NamedTuple):
    """Hold what speaks against the way outputs are read.

    Attributes:
        seen: The observation, in a sentence.
        is_certain: True if it cannot be otherwise.
    """

    seen: str
    is_certain: bool


def contradiction(outputs: NDArray[Any], *, claimed: str, sigmoid: bool) -> Doubt | None:
    """Return what the values of outputs say against their form; None if nothing.

    Values outside of 0 to 1 are no probabilities, which is certain. Values that all lie within are hardly logits, but
    those of a network that has learned nothing may.

    Args:
        outputs: Outputs for some images, (B, C, h, w).
        claimed: `logits` or `probabilities`.
        sigmoid: True if each channel is a probability of its own; else those of a pixel sum to 1.

    >>> ramp = np.linspace(0.1, 0.9, 5).reshape(1, 1, 1, 5)
    >>> contradiction(ramp, claimed="logits", sigmoid=True).seen
    'its outputs lie between 0.1 and 0.9, as behind a sigmoid'
    >>> contradiction(ramp * 9, claimed="probabilities", sigmoid=True).is_certain
    True
    >>> contradiction(ramp, claimed="probabilities", sigmoid=True) is None
    True
    """
    values = np.asarray(outputs, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    between = f"its outputs lie between {low:.3g} and {high:.3g}"
    within = low >= -TOLERANCE and high <= 1 + TOLERANCE
    # A sum of what lies between 0 and 1 that is 1 everywhere is none of chance.
    sums_to_one = values.shape[1] > 1 and bool(np.abs(values.sum(axis=1) - 1).max() < 10 * TOLERANCE)
    if claimed == "probabilities":
        if not within:
            return Doubt(f"{between}, which are no probabilities", is_certain=True)
        if not sigmoid and not sums_to_one:
            return Doubt(
                f"{between} and do not sum to 1 over the classes, as behind a sigmoid of each", is_certain=False
            )
        return None
    if within and sums_to_one:
        return Doubt(f"{between} and sum to 1 over the classes, as behind a softmax", is_certain=False)
    if within and low < high:
        return Doubt(f"{between}, as behind a sigmoid", is_certain=False)
    return None
