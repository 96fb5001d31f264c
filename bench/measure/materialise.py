"""Predictions read to the last byte, inside the clock: what is not there yet is paid for, and cannot change afterwards.

A prediction may be an object that looks like an array and computes itself when it is read, or an array that a thread
still fills. So each is taken apart into plain NumPy arrays of exact types, every byte of which is summed; the sums say
later whether the arrays are still what they were when the clock stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.predictions import Instances, Panoptic, Prediction, PromptedMasks, Segment, SemanticMap

_ARRAYS: dict[type[Prediction], tuple[str, ...]] = {
    SemanticMap: ("labels",),
    Instances: ("masks", "class_ids", "scores", "crowd"),
    Panoptic: ("segment_ids",),
    PromptedMasks: ("masks", "scores"),
}


@dataclass(frozen=True)
class Read:
    """The predictions that `postprocess` returned, read to the last byte.

    Attributes:
        predictions: Predictions made anew of the arrays that were read; as they came where `plain` is false.
        sums: Sum of the bytes of each array.
        plain: True if all are what the contract says by exact type, so that reading them is all there is to them.
    """

    predictions: list[Prediction]
    sums: tuple[int, ...]
    plain: bool

    def changed(self) -> bool:
        """Return whether any array is not what it was when it was read."""
        return self.plain and materialised(self.predictions).sums != self.sums


def materialised(predictions: object) -> Read:
    """Read predictions to the last byte; never raises, whatever they are."""
    if type(predictions) not in (list, tuple):
        return Read(predictions, (), plain=False)  # type: ignore[arg-type]  # the check of the contract names it
    read: list[Prediction] = []
    sums: list[int] = []
    for prediction in predictions:  # type: ignore[attr-defined]  # a list or a tuple, as was just seen
        names = _ARRAYS.get(type(prediction))
        arrays = {} if names is None else {name: getattr(prediction, name) for name in names}
        if not arrays or not all(_is_plain(array) for array in arrays.values()) or not _plain_segments(prediction):
            return Read(predictions, (), plain=False)  # type: ignore[arg-type]
        read.append(replace(prediction, **arrays))
        sums += [_sum(array) for array in arrays.values()]
    return Read(read, tuple(sums), plain=True)


def copied(prediction: Prediction) -> Prediction:
    """Return the prediction with arrays of its own."""
    names = _ARRAYS[type(prediction)]
    return replace(prediction, **{name: getattr(prediction, name).copy() for name in names})


def _is_plain(array: object) -> bool:
    return type(array) is np.ndarray and not array.dtype.hasobject


def _plain_segments(prediction: Prediction) -> bool:
    if not isinstance(prediction, Panoptic):
        return True
    return type(prediction.segments) is tuple and all(type(segment) is Segment for segment in prediction.segments)


def _sum(array: NDArray[Any]) -> int:
    """Sum of the bytes taken eight at a time, modulo 2^64."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = flat.size // 8 * 8
    total = int(flat[:whole].view(np.uint64).sum(dtype=np.uint64)) + int(flat[whole:].sum(dtype=np.uint64))
    return total % 2**64
