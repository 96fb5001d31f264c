"""Stored arrays whose header is no Python: NumPy tells that by an exception of its own kind of reader."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from bench.errors import StoreError
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.statistics import load_statistics


def npy(header):
    """A .npy file of version 1 with a header as it is."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


HEADERS = [
    "{'descr': (",
    "{'descr': '<f8', 'shape': (2",
    "'''",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
]


@pytest.mark.parametrize("header", HEADERS)
def test_whatever_numpy_raises_for_a_damaged_header_is_known_as_damage(tmp_path, header):
    file = tmp_path / "a.npy"
    file.write_bytes(npy(header))
    with pytest.raises(ARRAY_DAMAGE):
        np.load(file, allow_pickle=False)


@pytest.mark.parametrize("header", HEADERS)
def test_statistics_with_a_damaged_header_are_told_with_the_command_that_makes_them_again(tmp_path, header):
    file = tmp_path / "case.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image_ids.npy", npy(header))
        archive.writestr("counts.npy", npy(header))
    with pytest.raises(StoreError, match="score the run again"):
        load_statistics(file)
