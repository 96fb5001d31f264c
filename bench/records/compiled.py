"""Compiling a counting kernel once, with a cache on disk where one can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile a function for one numba signature, or load it from numba's cache.

    numba is imported by whoever makes the signature, inside a function: it takes a second that only
    scoring should pay.
    """
    import numba

    try:
        kernel: Callable[..., Any] = numba.njit(signature, cache=True, nogil=True)(function)
    except (RuntimeError, OSError):  # no folder for the cache can be written, or it is full
        kernel = numba.njit(signature, cache=False, nogil=True)(function)
    return kernel
