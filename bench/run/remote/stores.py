"""Places behind a URL that hold whole objects by name: S3 and what speaks like it, Google's, and folders.

An object is there whole or not at all. Packages of a store are imported when it is used.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from bench.errors import BenchError, in_one_line
from bench.records.store.files import whole_file, write_atomically

PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}
"""Scheme of a URL -> the package that reads and writes there."""
EXTRAS = {"s3fs": "pip install 'segbench[s3]'", "gcsfs": "pip install 'segbench[gcs]'"}


class Store(Protocol):
    """Objects by name, with `/` in it."""

    url: str

    def read(self, name: str) -> bytes | None:
        """Return an object, None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put an object, in the place of one of this name."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Put an object where there is none of this name; of several who try at once one succeeds and is told True."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Put a file as an object."""
        ...

    def get(self, name: str, file: Path) -> bool:
        """Write an object to a file; False where there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None where there is none."""
        ...

    def names(self, under: str) -> list[str]:
        """Return the names of the objects under a name, in order."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...


def is_url(text: str) -> bool:
    """Return whether a place is a URL and no path."""
    return "://" in text


def store_at(url: str) -> Store:
    """Return the store behind a URL; nothing is asked of it yet.

    Raises:
        BenchError: If nothing that lasts is behind it, or its package is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        if not rest.startswith("/"):
            raise BenchError(f"{url}: expected an absolute path, such as file:///data/results")
        return _Folder(url, Path(unquote(rest)))
    if scheme == "memory":
        raise BenchError(f"{url}: what is in memory is gone with its process; expected s3://, gs:// or file://")
    if scheme not in PACKAGES:
        raise BenchError(f"{url}: no results are kept at {scheme}://; expected s3://bucket/prefix, gs:// or file://")
    bucket = rest.strip("/").partition("/")[0]
    if not bucket:
        raise BenchError(f"{url}: expected the name of a bucket, such as {scheme}://bucket/prefix")
    return _Bucket(url, scheme, rest.strip("/"))


def split_url(url: str) -> tuple[str, str]:
    """Return the URL of what an object lies in, and its name there."""
    above, _, name = url.rstrip("/").rpartition("/")
    if not name or above.endswith(":/") or not above.partition("://")[2]:
        raise BenchError(f"{url}: expected the URL of a file, such as s3://bucket/run.tar")
    return above, name


class _Folder:
    """A folder, as of a shared file system; it is made when something is put there."""

    def __init__(self, url: str, root: Path) -> None:
        self.url, self._root = url.rstrip("/"), root

    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self._root / name).read_bytes()
        return None

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self._root / name, content)

    def create(self, name: str, content: bytes) -> bool:
        path = self._root / name
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
        write_atomically(unfinished, content)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink(missing_ok=True)
        return True

    def put(self, file: Path, name: str) -> None:
        with whole_file(self._root / name) as temporary:
            shutil.copyfile(file, temporary)

    def get(self, name: str, file: Path) -> bool:
        with suppress(FileNotFoundError):
            shutil.copyfile(self._root / name, file)
            return True
        return False

    def size(self, name: str) -> int | None:
        path = self._root / name
        return path.stat().st_size if path.is_file() else None

    def names(self, under: str) -> list[str]:
        found = (self._root / under).rglob("*")
        return sorted(path.relative_to(self._root).as_posix() for path in found if path.is_file())

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


class _Bucket:
    """A bucket of an object store, through fsspec; raises `BenchError` if its package is not installed."""

    def __init__(self, url: str, scheme: str, root: str) -> None:
        package = PACKAGES[scheme]
        try:
            import fsspec

            # What another process has put must be seen: nothing is remembered of listings.
            self._fs: Any = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)
        except ImportError:
            raise BenchError(
                f"{url} needs the package {package}, which {sys.executable} does not have. Install it with: "
                f"{EXTRAS[package]}"
            ) from None
        self.url, self._root = url.rstrip("/"), root

    def read(self, name: str) -> bytes | None:
        with self._asked("read", name), suppress(FileNotFoundError):
            return bytes(self._fs.cat_file(self._at(name)))
        return None

    def write(self, name: str, content: bytes) -> None:
        with self._asked("written", name):
            self._fs.pipe_file(self._at(name), content)

    def create(self, name: str, content: bytes) -> bool:
        with self._asked("written", name):
            try:
                self._fs.pipe_file(self._at(name), content, mode="create")
            except FileExistsError:
                return False
            except OSError:
                if self._fs.exists(self._at(name)):  # a store that says so in words of its own
                    return False
                raise
        return True

    def put(self, file: Path, name: str) -> None:
        with self._asked("written", name):
            self._fs.put_file(str(file), self._at(name))

    def get(self, name: str, file: Path) -> bool:
        with self._asked("read", name), suppress(FileNotFoundError):
            self._fs.get_file(self._at(name), str(file))
            return True
        return False

    def size(self, name: str) -> int | None:
        with self._asked("read", name), suppress(FileNotFoundError):
            found = self._fs.info(self._at(name))
            return None if found.get("type") == "directory" else int(found["size"])
        return None

    def names(self, under: str) -> list[str]:
        with self._asked("listed", under), suppress(FileNotFoundError):
            return sorted(name.removeprefix(f"{self._root}/") for name in self._fs.find(self._at(under)))
        return []

    def remove(self, name: str) -> None:
        with self._asked("removed", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _asked(self, what: str, name: str) -> Iterator[None]:
        """Raise `BenchError` for what the store, or the way to it, refuses."""
        # Errors of stores' packages that are no `OSError`, of those that are loaded.
        botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
        found = [getattr(botocore, "BotoCoreError", None), getattr(botocore, "ClientError", None)]
        found += [getattr(aiohttp, "ClientError", None)]
        refused: tuple[type[Exception], ...] = (OSError, *(one for one in found if one is not None))
        try:
            yield
        except BenchError:
            raise
        except refused as error:
            raise BenchError(
                f"{self.url}/{name} could not be {what}: {in_one_line(error)}. Look at the name of the bucket, its "
                "credentials and its endpoint (for S3 the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "AWS_ENDPOINT_URL)"
            ) from None
