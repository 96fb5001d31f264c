"""Decides how wide the ids of a label map are: 8 bits with 255 as void, 16 bits with 65535 as void for more classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.base import IGNORE_LABEL

WIDE_VOID = 65535
"""Void in a label map of 16 bits."""


def void_id(num_classes: int) -> int:
    """Return the id of void in a label map of `num_classes` classes: 255 as long as no class needs that id.

    >>> void_id(255), void_id(256)
    (255, 65535)
    """
    return IGNORE_LABEL if num_classes <= IGNORE_LABEL else WIDE_VOID


def label_dtype(num_classes: int) -> type[np.unsignedinteger[Any]]:
    """Type of the ids of a label map of `num_classes` classes; raises `ValueError` for more than 65,535 of them.

    >>> label_dtype(254).__name__, label_dtype(1203).__name__
    ('uint8', 'uint16')
    """
    if num_classes > WIDE_VOID:
        raise ValueError(f"{num_classes} classes; a label map holds at most {WIDE_VOID}")
    return np.uint8 if num_classes <= IGNORE_LABEL else np.uint16


def void_of(labels: NDArray[Any]) -> int:
    """Return the id of void in a label map, by the width of its ids."""
    return IGNORE_LABEL if labels.dtype.itemsize == 1 else WIDE_VOID
