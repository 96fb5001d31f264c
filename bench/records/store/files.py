"""Write files so that a reader sees the old content or the new, never half of it; know them by their content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple, TextIO

from bench.errors import StoreError
from bench.records import Record


class State(NamedTuple):
    """The facts that tell one content of a file from another without reading it.

    The time of modification can be set, and copies and archives do; the inode's number and its time of change cannot.
    """

    size: int
    changed_ns: int
    inode: int
    status_changed_ns: int


def file_state(path: Path) -> State | None:
    """State of a file; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    # An inode's number may be larger than the integers of SQLite, which are signed.
    return State(status.st_size, status.st_mtime_ns, status.st_ino & (2**63 - 1), status.st_ctime_ns)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside a file to write; it takes the place of the file at the end, or goes if anything is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several threads, and several nodes whose processes have the same numbers, may write one file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, to_disk: bool = True) -> None:
    """Replace a file in one step; survives a kill at any moment.

    Args:
        to_disk: True if it is on the disk when this returns, and so survives a power cut, too.
    """
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        if to_disk:
            file.flush()
            os.fsync(file.fileno())


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    write_atomically(path, record.to_json())


def files_of(path: Path) -> list[Path]:
    """Return a file itself, or all files of a folder in order of their paths."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def content_sha256(path: Path) -> str:
    """Return the SHA-256 in hex of a file, or of all files of a folder, one after the other."""
    sha = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()


def sha256_of(path: Path) -> str:
    """Return `content_sha256`, read once per process while nothing about the file or folder changes."""
    return _sha256_of_states(path, tuple(file_state(file) for file in files_of(path)))


@lru_cache(maxsize=262144)
def _sha256_of_states(path: Path, _: tuple[State | None, ...]) -> str:
    return content_sha256(path)


def weights_digest(weights: str | None) -> str | None:
    """Return the SHA-256 of a weight file, or of all files of a folder; an address stands for itself."""
    if weights is None or "://" in weights:
        return weights
    return sha256_of(Path(weights))


def opened_to_append(path: Path) -> int:
    """Return the descriptor of a file that is open for appending and reading; made if there is none.

    Raises:
        StoreError: If a pipe, a device, or a link that leads nowhere stands there.
        OSError: If it cannot be opened, as for a folder.
    """
    try:
        # Nothing waits for the reader of a pipe.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise StoreError(f"{path} is a link that leads nowhere; remove it, or make what it leads to") from None
        raise
    if S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise StoreError(f"{path} is a pipe or a device where a file is to be written; move it away")


@contextmanager
def held(lock: Path, refusal: Exception) -> Iterator[TextIO]:
    """Hold a lock file, or raise `refusal` where another process does; the lock goes when the process does.

    Yields:
        The file, open for reading and appending; what it held is still there.
    """
    with os.fdopen(opened_to_append(lock), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal from None
        yield file
