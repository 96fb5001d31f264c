"""PNG files that promise more than they hold are refused before room is made for the promise."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from bench.data.formats.image_files import read_image, read_mask
from bench.data.formats.image_headers import PIXEL_LIMIT
from bench.errors import BenchError, DatasetError, ShapeError
from bench.records.png import encode_png, png_fault, read_png


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*, width=8, height=8, data_length=None) -> bytes:
    rows = zlib.compress(b"\0" * 9 * 8)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows, data_length), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("length", [1 << 30, (1 << 31) - 1, (1 << 32) - 1, 100])
def test_a_chunk_longer_than_its_file_is_refused_by_every_reader(tmp_path, length):
    file = tmp_path / "a.png"
    file.write_bytes(png(data_length=length))
    for read, kind in ((read_image, DatasetError), (read_mask, DatasetError), (read_png, ShapeError)):
        with pytest.raises(kind, match=f"claims {length} bytes"):
            read(file)


def test_a_size_that_its_data_cannot_fill_is_refused(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(width=30_000, height=30_000))
    for read in (read_image, read_mask, read_png):
        with pytest.raises(BenchError, match="cannot hold"):
            read(file)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (2000, 2000), (7, 5, 3), (900, 900, 3)])
def test_the_smallest_file_of_a_flat_image_is_sound(shape):
    assert png_fault(encode_png(np.zeros(shape, dtype=np.uint8))) is None


def test_the_limit_of_pixels_can_be_lowered_and_must_be_a_number(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(png())
    monkeypatch.setenv(PIXEL_LIMIT, "64")
    assert read_image(file).shape == (8, 8, 3)
    for value, message in (("63", "more than the 63"), ("many", "expected a whole number"), ("9" * 5000, "expected")):
        monkeypatch.setenv(PIXEL_LIMIT, value)
        with pytest.raises(DatasetError, match=message):
            read_image(file)
