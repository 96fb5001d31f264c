"""Lists what the readers of stored arrays raise for a file that is damaged."""

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
