"""What the readers of stored arrays raise for a file that is damaged."""

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
"""Of `numpy.load`, for .npy and .npz: its header is parsed as Python, its members are those of a zip archive."""
