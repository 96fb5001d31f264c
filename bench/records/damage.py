"""Lists what the readers of stored arrays raise for a file that is damaged."""

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
