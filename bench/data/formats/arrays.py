"""Masks stored as NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DatasetError, in_one_line
from bench.records.array_files import mapped_array
from bench.records.damage import ARRAY_DAMAGE


def read_array(path: Path) -> NDArray[Any]:
    """Read a mask from a .npy file as uint8 or uint16, (H, W); raises `DatasetError` for an array of another form.

    Booleans become 0 and 1; (1, H, W) and (H, W, 1) lose their axis; whole numbers of any type are taken if
    they lie within 0 and 65,535. Nothing in the file is run.
    """
    try:
        array = np.array(mapped_array(path))
    except ARRAY_DAMAGE as error:
        raise DatasetError(
            f"{path} cannot be read as a NumPy array: {in_one_line(error)}. Save it again with numpy.save."
        ) from None
    shape = array.shape
    if array.ndim == 3 and 1 in (shape[0], shape[2]):
        array = array[0] if shape[0] == 1 else array[..., 0]
    whole = array.dtype == np.bool_ or np.issubdtype(array.dtype, np.integer)
    if not whole and np.issubdtype(array.dtype, np.floating):
        whole = bool(np.isfinite(array).all() and (array == np.floor(array)).all())
    if array.ndim != 2 or not whole:
        raise DatasetError(
            f"{path} holds {array.dtype} of shape {shape}; a mask is an array of whole numbers of shape "
            "(height, width). Save the labels themselves: numpy.save(file, labels.astype(numpy.uint8)).",
            kind="mask",
        )
    least, most = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if least < 0 or most > 65535:
        raise DatasetError(
            f"{path} holds values from {least} to {most}; labels lie within 0 and 65535. If {least} means void, "
            "store 255 in its place.",
            kind="labels",
        )
    return np.ascontiguousarray(array, dtype=np.uint8 if most < 256 else np.uint16)
