"""Opens arrays that others stored, and archives, without taking more memory than files of their size stand for.

A zip archive of some kilobytes may hold gigabytes of zeros. What it says of its members is held against its own size
before anything is unpacked; Python's reader gives no more than that.
"""

from __future__ import annotations

import io
import math
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
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
def packed_arrays(file: Path | IO[bytes]) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open the arrays of a `.npz`, each unpacked when it is asked for; nothing is unpickled.

    Raises:
        Exception: One of `ARRAY_DAMAGE`, for what is no such file, is damaged, or unpacks to more than its size can
            stand for.
    """
    with bounded_zip(file) as archive:
        yield _PackedArrays(archive)


class _PackedArrays(Mapping[str, NDArray[Any]]):
    """What `numpy.load` returns of an archive, faster for the thousands of small files of a report."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> NDArray[Any]:
        member = self._members[name]
        if member.file_size <= SMALL:
            content = _content_of(self._archive, member)
            if content[:8] == _VERSION_1:
                return _small_array(content)
        with self._archive.open(member) as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return array


def _content_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a small member, in a third of the time of Python's reader, which reads all that is not deflated by itself.

    Raises:
        BadZipFile: If it is not what the list of members says of it.
    """
    stream = archive.fp
    unusual = member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits & ENCRYPTED
    if stream is None or unusual or member.compress_size > 2 * SMALL:
        return archive.read(member)
    stream.seek(member.header_offset)
    head = stream.read(LOCAL_HEADER.size)
    name_length, extra_length = LOCAL_HEADER.unpack(head) if len(head) == LOCAL_HEADER.size else (0, 0)
    name = stream.read(name_length).decode("utf-8" if member.flag_bits & IN_UTF_8 else "cp437")
    if not head.startswith(b"PK\x03\x04") or name != member.orig_filename:
        raise zipfile.BadZipFile(f"{member.filename} is not where the list of members says")
    stream.seek(extra_length, os.SEEK_CUR)
    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(member.compress_size), SMALL + 1)
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return content


LOCAL_HEADER = struct.Struct("<26x2H")
"""Bytes before the name of a member, of which the last four are the lengths of the name and of what follows it."""
ENCRYPTED, IN_UTF_8 = 0x1, 0x800
"""Flags of a member."""
SMALL = 1 << 20
"""Bytes of an array that may be in memory twice for a moment."""
_VERSION_1 = b"\x93NUMPY\x01\x00"
"""Beginning of a `.npy` of the first version, which all have but those of names beyond Latin-1."""


def _small_array(content: bytes) -> NDArray[Any]:
    start = 10 + int.from_bytes(content[8:10], "little")
    shape, is_fortran, dtype = _header(content[8:start])
    if dtype.hasobject:
        raise ValueError("it holds objects, which are not unpickled")
    if dtype.itemsize * math.prod(shape) != len(content) - start:
        raise ValueError(f"its {len(content) - start} bytes are no {dtype} of shape {shape}")
    array: NDArray[Any] = np.ndarray(shape, dtype, content, start, order="F" if is_fortran else "C").copy(order="K")
    return array


@lru_cache(maxsize=4096)
def _header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What a header says: Python, whose parsing takes longer than all else, and mostly one that was met before."""
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(text))
    return shape, is_fortran, dtype


def mapped_array(path: Path) -> NDArray[Any]:
    """Map the array of a `.npy`, so that its header is held against the size of the file before memory is taken.

    Raises:
        Exception: One of `ARRAY_DAMAGE`, for what is no such file, an archive of arrays included.
    """
    require_file(path)
    mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return mapped


LONGEST_HEADER = 2**20
"""Bytes of an extended header or a long name; paths and times come to some hundreds."""
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BoundedTarInfo(tarfile.TarInfo):
    """An entry whose extended headers are read only up to `LONGEST_HEADER`; `tarfile.open(tarinfo=BoundedTarInfo)`.

    Python reads such headers into memory whole, and a packed archive of some megabytes can hold gigabytes of them.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in EXTENDED and self.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"an extended header claims {self.size} bytes, more than {LONGEST_HEADER}")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it holds a sparse file, of which holes are not stored; pack it without -S")
        return super()._proc_member(archive)  # type: ignore[misc]  # no part of its documented interface, but stable
