"""Opens arrays that others stored, and zip archives, without taking more memory than files of their size stand for.

A zip archive of some kilobytes may hold gigabytes of zeros. What it says of its members is held against its own size
before anything is unpacked; Python's reader gives no more than that.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bench.records.damage import require_file

GIB = 1024**3
ALWAYS_ALLOWED = GIB
"""Bytes that any archive may unpack to, however small."""
MOST_GROWTH = 100
"""A larger one may unpack to this many times its own size: sparse counts come to that, images and weights do not."""
LONGEST_REASON = 300
"""Characters of what is said of a damaged archive."""
UNPACKED_LIMIT = "BENCH_MAX_UNPACKED_GIB"
"""Variable with another number of GiB that any archive may unpack to."""


def require_bounded(archive: zipfile.ZipFile, packed_bytes: int) -> None:
    """Refuse an archive that unpacks to more than its size can stand for.

    Args:
        archive: An open archive, of which nothing has been read but its list of members.
        packed_bytes: Size of its file.

    Raises:
        ValueError: Saying to how much it unpacks, and how to allow it.
    """
    unpacked = sum(member.file_size for member in archive.infolist())
    limit = max(_always_allowed(), MOST_GROWTH * packed_bytes)
    if unpacked > limit:
        raise ValueError(
            f"its {packed_bytes} bytes unpack to {unpacked / GIB:.1f} GiB, more than files do; for one of yours set "
            f"{UNPACKED_LIMIT}={unpacked // GIB + 1}"
        )


def _always_allowed() -> int:
    asked = os.environ.get(UNPACKED_LIMIT, "")
    if not asked:
        return ALWAYS_ALLOWED
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= 6):
        raise ValueError(f"{UNPACKED_LIMIT}={asked} is no whole number of GiB")
    return int(asked) * GIB


@contextmanager
def bounded_zip(file: Path | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, of a file or of its content.

    Raises:
        BadZipFile: If it is none.
        OSError: If it cannot be read, or is a folder, a pipe or a device.
        ValueError: If it unpacks to more than its size can stand for.
    """
    if isinstance(file, Path):
        require_file(file)
        size = file.stat().st_size
    else:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    with _briefly(), zipfile.ZipFile(file) as archive:
        require_bounded(archive, size)
        yield archive


@contextmanager
def _briefly() -> Iterator[None]:
    """Cut what is said of a damaged archive, which quotes names of any length."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise zipfile.BadZipFile(str(error)[:LONGEST_REASON]) from None


@contextmanager
def packed_arrays(file: Path | IO[bytes]) -> Iterator[Any]:
    """Open the arrays of a `.npz`, as `numpy.load` does, which unpacks each when it is asked for; nothing is unpickled.

    Raises:
        Exception: One of `ARRAY_DAMAGE`, for what is no such file, is damaged, or unpacks to more than its size can
            stand for.
    """
    with bounded_zip(file):
        pass
    with _briefly(), np.load(file, allow_pickle=False) as arrays:
        yield arrays


def mapped_array(path: Path) -> NDArray[Any]:
    """Map the array of a `.npy`, so that its header is held against the size of the file before memory is taken.

    Raises:
        Exception: One of `ARRAY_DAMAGE`, for what is no such file, an archive of arrays included.
    """
    require_file(path)
    mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return mapped
