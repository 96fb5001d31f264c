"""Predictions read to the last byte, inside the clock: what is not there yet is paid for, and cannot change afterwards.

A prediction may be an object that looks like an array and computes itself when it is read, or an array that a thread
still fills. So each is taken apart into plain NumPy arrays of exact types, every byte of which is summed; the sums say
later whether the arrays are still what they were when the clock stopped. What holds their memory may work when it is
freed, so that is timed in its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.predictions import Instances, Panoptic, Prediction, PromptedMasks, Segment, SemanticMap

_ARRAYS: dict[type, tuple[str, ...]] = {
    SemanticMap: ("labels",),
    Instances: ("masks", "class_ids", "scores", "crowd"),
    Panoptic: ("segment_ids",),
    PromptedMasks: ("masks", "scores"),
}


FREED_BYTES_PER_NS = 2
"""Memory that is given back in a nanosecond, at least: pages of 4 KiB that were in use, on a slow machine."""


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

    def freed_ns(self, clock: Callable[[], int]) -> int:
        """Let go of the predictions, and return how much longer that takes than it takes to give back their memory.

        Whatever owns an array, or waits for its end, may compute then.
        """
        if not self.plain:
            return 0
        of_memory = sum(array.nbytes for one in self.predictions for array in _arrays(one).values())
        start = clock()
        self.predictions.clear()
        return max(0, clock() - start - of_memory // FREED_BYTES_PER_NS)


def materialised(predictions: object) -> Read:
    """Read predictions to the last byte; never raises, whatever they are."""
    if type(predictions) not in (list, tuple):
        return Read(predictions, (), plain=False)  # type: ignore[arg-type]  # the check of the contract names it
    read: list[Prediction] = []
    sums: list[int] = []
    for prediction in predictions:  # type: ignore[attr-defined]  # a list or a tuple, as was just seen
        arrays = _arrays(prediction)
        if not arrays or not all(_is_plain(array) for array in arrays.values()) or not _plain_segments(prediction):
            return Read(predictions, (), plain=False)  # type: ignore[arg-type]
        read.append(_anew(prediction, arrays))
        sums += [_sum(array) for array in arrays.values()]
    return Read(read, tuple(sums), plain=True)


def copied(prediction: Prediction) -> Prediction:
    """Return the prediction with arrays of its own."""
    return _anew(prediction, {name: array.copy() for name, array in _arrays(prediction).items()})


def _arrays(prediction: object) -> dict[str, NDArray[Any]]:
    return {name: getattr(prediction, name) for name in _ARRAYS.get(type(prediction), ())}


def _anew(prediction: Prediction, arrays: dict[str, NDArray[Any]]) -> Prediction:
    """Return the prediction of some arrays, and of nothing else that it may have been given."""
    if isinstance(prediction, Panoptic):
        segments = tuple(Segment(one.id, one.class_id, one.crowd, one.score) for one in prediction.segments)
        return Panoptic(arrays["segment_ids"], segments)
    make: type[Any] = type(prediction)
    made: Prediction = make(**arrays)
    return made


def _is_plain(array: object) -> bool:
    return type(array) is np.ndarray and not array.dtype.hasobject


def _plain_segments(prediction: Prediction) -> bool:
    if not isinstance(prediction, Panoptic):
        return True
    if type(prediction.segments) is not tuple or any(type(one) is not Segment for one in prediction.segments):
        return False
    values = [value for one in prediction.segments for value in (one.id, one.class_id, one.crowd, one.score)]
    return all(type(value) in (int, bool, float, type(None)) for value in values)


def _sum(array: NDArray[Any]) -> int:
    """Sum of the bytes taken eight at a time, modulo 2^64."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = flat.size // 8 * 8
    total = int(flat[:whole].view(np.uint64).sum(dtype=np.uint64)) + int(flat[whole:].sum(dtype=np.uint64))
    return total % 2**64
