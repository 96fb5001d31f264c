"""Masks as COCO's run lengths, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.records.base import Size
from bench.records.mask_runs import MaskRuns


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO run lengths of a mask: column-major, the first run counts zeros.

    >>> run_lengths(np.array([[False, True], [True, True]]))
    [1, 3]
    """
    lengths: list[int] = MaskRuns.of_masks(mask[None]).lengths()[0].tolist()
    return lengths


def mask_from_run_lengths(runs: list[int], size: Size) -> NDArray[np.bool_]:
    """Return the mask of COCO run lengths, bool, shape `size`, C order; raises `ValueError` if they do not fill it."""
    lengths = np.array(runs, dtype=np.int64)
    mask: NDArray[np.bool_] = MaskRuns.of_lengths(lengths, np.array([len(runs)]), size).drawn()[0]
    return mask
