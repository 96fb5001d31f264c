"""Unpacking of tar and zip files that strangers made: nothing is written outside the folder, or without limit.

Every wanted member is looked at before the first is written: only files and folders are taken, no
links and no devices, no absolute path and no `..`, and together they may hold `MOST_GROWTH` times the
size of the archive. What macOS adds (`__MACOSX`, `._name`, `.DS_Store`) is left out. A member is
written under another name and renamed, so that what is there is whole; an interrupted unpacking
goes on behind what is there.
"""

from __future__ import annotations

import fnmatch
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, TypeVar

from rich.filesize import decimal

from bench.data.progress import Advance
from bench.errors import BenchError
from bench.records.array_files import LONGEST_REASON, BoundedTarInfo

MOST_GROWTH = 32
"""An archive may hold at most this many times its own size."""

ALWAYS_ALLOWED = 1 << 26
"""Bytes that may be in any archive, however small."""

MOST_MEMBERS = 1_000_000
BLOCK = 1 << 20
T = TypeVar("T")
LITTER = ("__MACOSX", ".DS_Store")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)
"""This is what the readers of archives raise for a damaged one."""


class Member(NamedTuple):
    """One entry of an archive: its name, its kind, such as a file or a link, its bytes, and what opens its content."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]

    @property
    def path(self) -> PurePosixPath:
        """Its path without `./`."""
        return PurePosixPath(self.name)


def unpack(archive: Path, folder: Path, *, only: Sequence[str] = (), advance: Advance) -> list[Path]:
    """Write the members of an archive below a folder; what is there already in full is left.

    Args:
        archive: A tar (plain, or compressed by gzip, bzip2 or xz) or zip file.
        folder: Folder for the files, made if it is not there.
        only: Patterns of wanted members, as in `fnmatch`; `*` matches `/`. None = all.

    Returns:
        Paths of the wanted files, in the order of the archive.

    Raises:
        BenchError: If the archive is damaged or unsafe (then nothing is written), matches none of
            the patterns, or does not fit on the disk.
    """
    wanted = _looked_through(archive, folder, only)
    total = sum(size for _, size in wanted.values())
    lacking = sum(size for path, size in wanted.values() if not _is_whole(path, size, archive))
    require_space(folder, lacking, f"unpack {archive.name}")
    done = 0
    for member in _members(archive):
        if member.kind == "file" and member.name in wanted:
            path, size = wanted[member.name]
            if not _is_whole(path, size, archive):
                _write(member, path, archive)
            done += size
            advance(done, total)
    return [path for path, _ in wanted.values()]


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise `BenchError` if the disk of a folder, which need not exist, has less room than that."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise BenchError(
            f"{folder}: {decimal(needed)} are needed to {purpose}, and {decimal(free)} are free on that disk. Make "
            "room, or give a folder on another disk."
        )


def _looked_through(archive: Path, folder: Path, only: Sequence[str]) -> dict[str, tuple[Path, int]]:
    """Return name of a wanted file -> where it goes, and its size; raises `BenchError` if one must not be unpacked."""
    limit = max(ALWAYS_ALLOWED, MOST_GROWTH * archive.stat().st_size)
    wanted: dict[str, tuple[Path, int]] = {}
    total = 0
    for count, member in enumerate(_members(archive), start=1):
        if count > MOST_MEMBERS:
            raise _refused(archive, f"it has more than {MOST_MEMBERS} members")
        if not _is_wanted(member, only):
            continue
        _require_safe(member, archive)
        total += member.size
        if total > limit:
            raise _refused(archive, f"it holds more than {decimal(limit)}, a multiple of its size that no data set has")
        if member.kind == "file":
            if member.name in wanted:
                raise _refused(archive, f"it holds {member.name!r} twice")
            wanted[member.name] = (folder / member.path, member.size)
    if not wanted:
        raise BenchError(
            f"{archive} holds no {' or '.join(only) or 'files'}. It is another file than the one expected; delete it "
            "and give the same command again, which fetches it anew."
        )
    _require_own_folders(folder, [path for path, _ in wanted.values()])
    return wanted


def _is_wanted(member: Member, only: Sequence[str]) -> bool:
    parts = member.path.parts
    if any(part in LITTER or part.startswith("._") for part in parts):
        return False
    return not only or any(fnmatch.fnmatchcase(member.path.as_posix(), pattern) for pattern in only)


def _require_safe(member: Member, archive: Path) -> None:
    name = member.name
    outside = name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in member.path.parts
    if outside:
        raise _refused(archive, f"{name!r} would be written outside of its folder")
    if member.kind not in ("file", "folder"):
        raise _refused(archive, f"{name!r} is a {member.kind}, and a data set needs files and folders only")


def _require_own_folders(folder: Path, files: Sequence[Path]) -> None:
    for path in dict.fromkeys(place for file in files for place in (file, *file.parents)):
        if path.is_symlink() and path.is_relative_to(folder) and path != folder:
            raise BenchError(f"{path} is a link, through which something else would be overwritten. Move it away.")


def _is_whole(path: Path, size: int, archive: Path) -> bool:
    """Return whether a file is there already; raises `BenchError` if something else is."""
    if not path.exists():
        return False
    if path.is_file() and path.stat().st_size == size:
        return True
    raise BenchError(
        f"{path} is there already and is not the file of {size} bytes that {archive.name} holds. Nothing is "
        "overwritten: move it away and give the same command again."
    )


def _write(member: Member, path: Path, archive: Path) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        source = _readable(archive, member.open)
        if source is None:
            raise _damaged(archive, f"{member.name!r} has no content")
        with source, temporary.open("wb") as file:  # a zip checks its CRC at the end of each member
            while block := _readable(archive, partial(source.read, BLOCK)):
                file.write(block)
            written = file.tell()
        if written != member.size:
            raise _damaged(archive, f"{member.name!r} ends after {written} of {member.size} bytes")
        temporary.replace(path)
    except OSError as error:
        raise BenchError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _members(archive: Path) -> Iterator[Member]:
    """Yield entries of a tar or zip file, in its order; raises `BenchError` if it is neither, or damaged."""
    # A tar comes first: one that ends with an uncompressed zip looks like a zip, too.
    if _readable(archive, partial(_is_tar, archive)):
        with _readable(archive, partial(tarfile.open, archive, tarinfo=BoundedTarInfo)) as tarred:
            while (entry := _readable(archive, tarred.next)) is not None:
                yield Member(entry.name, _kind_in_tar(entry), entry.size, partial(tarred.extractfile, entry))
    elif _readable(archive, partial(zipfile.is_zipfile, archive)):
        with _readable(archive, partial(zipfile.ZipFile, archive)) as zipped:
            for row in zipped.infolist():
                yield Member(row.filename, _kind_in_zip(row), row.file_size, partial(zipped.open, row))
    else:
        raise _damaged(archive, "it is neither a tar nor a zip file")


def _is_tar(archive: Path) -> bool:
    """Return whether a file begins as a tar; `tarfile.is_tarfile` would read its headers without bounds."""
    try:
        with tarfile.open(archive, tarinfo=BoundedTarInfo):
            return True
    except tarfile.ReadError as error:
        if "extended header" in str(error) or "sparse" in str(error):
            raise
        return False


def _kind_in_zip(row: zipfile.ZipInfo) -> str:
    if row.flag_bits & 0x1:
        return "encrypted file"
    mode = row.external_attr >> 16
    kinds = {stat.S_IFLNK: "link", stat.S_IFCHR: "device", stat.S_IFBLK: "device", stat.S_IFIFO: "pipe"}
    return kinds.get(stat.S_IFMT(mode), "folder" if row.is_dir() else "file")


def _kind_in_tar(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "link"
    if entry.isdir():
        return "folder"
    return "file" if entry.isreg() else "device"


def _readable(archive: Path, read: Callable[[], T]) -> T:
    """Return what a reader of the archive gives; raises `BenchError` if it finds damage."""
    try:
        return read()
    except DAMAGE as error:
        raise _damaged(archive, str(error)[:LONGEST_REASON] or type(error).__name__) from None


def _damaged(archive: Path, reason: str) -> BenchError:
    return BenchError(
        f"{archive} cannot be unpacked: {reason.rstrip('.')}. Delete it and give the same command again, which fetches "
        "it anew."
    )


def _refused(archive: Path, reason: str) -> BenchError:
    return BenchError(
        f"{archive} is not unpacked: {reason}. Nothing of it was written. It may be forged: delete it, and compare its "
        "source before you fetch it again."
    )
