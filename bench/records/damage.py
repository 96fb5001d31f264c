"""Lists what the readers of stored arrays raise for a file that is damaged."""

from pathlib import Path
from struct import error as StructError
from tokenize import TokenError
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
"""Of Pillow, whose readers of formats take what a file says of itself for granted."""


def require_file(path: Path) -> None:
    """Raise `OSError` for a folder, a pipe or a device in the place of a file: reading these may never end."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a folder, a pipe or a device, no file")


def content_of(path: Path) -> bytes:
    """Return the content of a file; raises `OSError` as `require_file`, and where there is none."""
    require_file(path)
    return path.read_bytes()
