"""Lists what the readers of stored arrays raise for a file that is damaged."""

import json
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from stat import S_ISREG
from struct import error as StructError
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

fast_loads: Callable[[bytes], Any]
quick_json: Callable[[Any], bytes]
"""Reads JSON, and writes what consists of numbers and texts, in UTF-8."""
try:
    from orjson import dumps as quick_json
    from orjson import loads as fast_loads
except ImportError:  # an environment of an adapter may lack it
    fast_loads = json.loads

    def quick_json(document: Any) -> bytes:
        """Write JSON by Python's own encoder."""
        return json.dumps(document).encode()


ARRAY_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    MemoryError,
    RuntimeError,
    TokenError,
    BadZipFile,
    ZlibError,
)
"""These are raised by `numpy.load` for .npy and .npz: it parses the header as Python and reads members of a zip
archive.
"""

IMAGE_DAMAGE = (*ARRAY_DAMAGE, ArithmeticError, AssertionError, AttributeError, IndexError, StructError)
"""Errors of Pillow on a damaged image: its readers take what a file states about itself for granted."""


OPENED = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""Flags to open files with: nothing waits for a pipe's writer, so that the open file can be asked what it is."""


def require_file(path: Path) -> None:
    """Raise `OSError` for a folder, a pipe or a device in the place of a file: reading these may never end."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return  # told when it is opened
    if not S_ISREG(kind):
        raise _no_file(path)


def content_of(path: Path) -> bytes:
    """Return the content of a file; raises `OSError` as `require_file`, and where there is none."""
    return head_of(path, -1)


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file; raises `OSError` as `content_of`, and `UnicodeDecodeError`."""
    return content_of(path).decode(encoding)


def head_of(path: Path, most: int) -> bytes:
    """Return the first bytes of a file, at most so many, or all of them for -1; raises `OSError` as `content_of`."""
    descriptor = os.open(path, OPENED)
    try:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_file(path)
        if most >= 0:
            return os.read(descriptor, most)
        with FileIO(descriptor, closefd=False) as file:
            return file.readall()
    finally:
        os.close(descriptor)


def json_of(text: str | bytes) -> Any:
    """Return what JSON holds; raises `ValueError` for anything else, cut off or nested too deeply included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def quick_json_of(content: bytes) -> Any:
    """Return what JSON holds, as `json_of` in a third of the time; integers beyond 64 bits may be rounded."""
    try:
        return fast_loads(content)
    except (ValueError, RecursionError):
        return json_of(content)


def _no_file(path: Path) -> OSError:
    return OSError(f"{path} is a folder, a pipe or a device, no file")
