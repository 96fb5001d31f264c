"""Lists what the readers of stored arrays raise for a file that is damaged."""

import json
import os
from io import FileIO
from pathlib import Path
from stat import S_ISREG
from struct import error as StructError
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

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
    descriptor = os.open(path, OPENED)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    with FileIO(descriptor) as file:
        return file.readall()


def json_of(text: str | bytes) -> Any:
    """Return what JSON holds; raises `ValueError` for anything else, cut off or nested too deeply included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_file(path: Path) -> OSError:
    return OSError(f"{path} is a folder, a pipe or a device, no file")
