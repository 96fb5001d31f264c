"""Counting of pixels by (true class, predicted class): what all overlap metrics are made of.

Label maps are made of runs: along a row the pair (true, predicted) seldom changes. The kernel marks
changes with vector instructions, packs 64 marks into one word and counts a whole run per set bit;
where a word is crowded with changes (noise, thin structures) it counts pixel by pixel instead. Both
ways give the integers that `numpy.bincount` gives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records.compiled import compiled, given

Counts: TypeAlias = NDArray[np.int64]
"""Pixel counts, shape (K, K + 1): row = true class, column = predicted class or none."""

_BLOCK = 1024
"""Pixels whose changes are marked at once; a multiple of 64 that fits the first-level cache."""

_CROWDED = np.uint64(24)
"""Changes among 64 pixels from which counting them one by one is cheaper than run by run."""

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
"""Multiplying a power of two by this puts its exponent's code into the upper six bits."""


def _exponents() -> NDArray[np.int64]:
    """Exponent of a power of two by the code that `_DE_BRUIJN` gives it, shape (64,)."""
    table = np.zeros(64, dtype=np.int64)
    for exponent in range(64):
        table[((int(_DE_BRUIJN) << exponent) & (2**64 - 1)) >> 58] = exponent
    return table


_EXPONENTS = _exponents()


def confusion_counts(
    target: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], *, num_classes: int, ignore: int | None
) -> Counts:
    """Count pixels by (true class, predicted class).

    Args:
        target: True class ids, shape (H, W). Ids other than `ignore` must be below `num_classes`.
        predicted: Predicted class ids, shape (H, W). 8-bit maps take the fast path.
        num_classes: K; valid ids are 0..K-1.
        ignore: Target id whose pixels are left out entirely, or None.

    Returns:
        Pixel counts, int64, shape (K, K + 1): row = true class, column = predicted class.
        The last column holds predictions that name no class, so that "don't know"
        costs recall instead of vanishing.

    Raises:
        ShapeError: If the two maps differ in shape, are not integers, or the target holds an id
            that is neither a class nor `ignore`.

    >>> confusion_counts(np.array([[0, 0, 1, 9]]), np.array([[0, 1, 1, 1]]), num_classes=2, ignore=9)
    array([[1, 1, 0],
           [0, 1, 0]])
    """
    _check_maps(target, predicted)
    if target.dtype == np.uint8 and predicted.dtype == np.uint8:
        counts = _count_bytes(target, predicted, num_classes, ignore)
    else:
        counts = _count_integers(target, predicted, num_classes, ignore)
    if counts[num_classes + 1].any():
        require_classes(target, num_classes=num_classes, ignore=ignore)
    return counts[:num_classes]


def _check_maps(target: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]) -> None:
    if target.shape != predicted.shape:
        raise ShapeError(
            f"the target has shape {target.shape} and the prediction {predicted.shape}; "
            "predictions must have the original image size. See adapters/README.md, rule 4."
        )
    for name, labels in (("target", target), ("prediction", predicted)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ShapeError(f"the {name} has dtype {labels.dtype}; a label map holds integer class ids")


def require_classes(target: NDArray[np.integer[Any]], *, num_classes: int, ignore: int | None) -> None:
    """Raise `ShapeError` if a target holds an id that is neither a class nor `ignore`."""
    unknown = target[((target < 0) | (target >= num_classes)) & (target != (-1 if ignore is None else ignore))]
    if unknown.size:
        wanted = f"0..{num_classes - 1}" + ("" if ignore is None else f" and {ignore} for void")
        raise ShapeError(
            f"the target holds class id {int(unknown.min())}; valid ids are {wanted}. Check the data set's class list."
        )


def _count_integers(
    target: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_classes: int, ignore: int | None
) -> Counts:
    """Count integers of any width; rows K and K + 1 hold ignored and unknown target ids."""
    is_class = (target >= 0) & (target < num_classes)
    row = np.where(is_class, target, num_classes + 1).astype(np.int64)
    if ignore is not None:
        row[target == ignore] = num_classes
    names_class = (predicted >= 0) & (predicted < num_classes)
    column = np.where(names_class, predicted, num_classes).astype(np.int64)
    cells = (num_classes + 2) * (num_classes + 1)
    counts = np.bincount((row * (num_classes + 1) + column).ravel(), minlength=cells)
    return counts.astype(np.int64).reshape(num_classes + 2, num_classes + 1)


def _count_bytes(
    target: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_classes: int, ignore: int | None
) -> Counts:
    """Count 8-bit ids; rows K and K + 1 hold ignored and unknown target ids."""
    counts = np.zeros((num_classes + 2) * (num_classes + 1), dtype=np.int64)
    if target.size:
        row, column = _cell_offsets(num_classes, ignore)
        _count_runs(np.ascontiguousarray(target).ravel(), np.ascontiguousarray(predicted).ravel(), row, column, counts)
    return counts.reshape(num_classes + 2, num_classes + 1)


@lru_cache(maxsize=16)
def _cell_offsets(num_classes: int, ignore: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offset in the flat table by target id and by predicted id, each of shape (256,)."""
    ids = np.arange(256, dtype=np.int64)
    row = np.where(ids < num_classes, ids, num_classes + 1)
    if ignore is not None and 0 <= ignore < 256:
        row[ignore] = num_classes
    return row * (num_classes + 1), np.minimum(ids, num_classes)


@compiled(f"void({given('uint8')}, {given('uint8')}, int64[::1], int64[::1], int64[::1])")
def _count_runs(
    target: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add the pixels of two flat maps to `counts[row[target] + column[predicted]]`; compiled."""
    changed = np.empty(_BLOCK, dtype=np.uint8)
    changed_words = changed.view(np.uint64)
    cell = row[target[0]] + column[predicted[0]]
    run_start = 0
    base = 1
    while base + _BLOCK <= target.size:
        target_here, target_before = target[base : base + _BLOCK], target[base - 1 : base - 1 + _BLOCK]
        predicted_here, predicted_before = predicted[base : base + _BLOCK], predicted[base - 1 : base - 1 + _BLOCK]
        for i in range(_BLOCK):
            changed[i] = ((target_here[i] ^ target_before[i]) | (predicted_here[i] ^ predicted_before[i])) != 0
        for group in range(_BLOCK // 64):
            first = base + group * 64
            marks = np.uint64(0)
            changes = np.uint64(0)
            for k in range(8):
                # Eight bytes of 0 or 1: the product gathers them in its upper byte, in order.
                word = changed_words[group * 8 + k]
                marks |= ((word * np.uint64(0x0102040810204080)) >> np.uint64(56)) << np.uint64(8 * k)
                changes += word
            if (changes * np.uint64(0x0101010101010101)) >> np.uint64(56) >= _CROWDED:
                counts[cell] += first - run_start
                for i in range(first, first + 63):
                    counts[row[target[i]] + column[predicted[i]]] += 1
                run_start = first + 63
                cell = row[target[run_start]] + column[predicted[run_start]]
                continue
            while marks != 0:
                lowest = marks & (~marks + np.uint64(1))
                position = first + _EXPONENTS[(lowest * _DE_BRUIJN) >> np.uint64(58)]
                counts[cell] += position - run_start
                run_start = position
                cell = row[target[position]] + column[predicted[position]]
                marks ^= lowest
        base += _BLOCK
    counts[cell] += base - run_start
    for i in range(base, target.size):
        counts[row[target[i]] + column[predicted[i]]] += 1
