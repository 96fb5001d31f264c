"""Compiling a counting kernel once, with a cache on disk where one can be written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LINEAR_ALGEBRA = "scipy.linalg.cython_blas"


def compiled(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile a function for one numba signature, or load it from numba's cache.

    numba is imported by whoever makes the signature, inside a function: it takes a second that only
    scoring should pay.
    """
    import numba

    with _without_linear_algebra():
        try:
            kernel: Callable[..., Any] = numba.njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # no folder for the cache can be written, or it is full
            kernel = numba.njit(signature, cache=False, nogil=True)(function)
    return kernel


@contextmanager
def _without_linear_algebra() -> Iterator[None]:
    """Let SciPy's linear algebra look missing within, unless it is there: numba would load it for its own sake.

    No kernel here multiplies matrices, and it takes a tenth of a second and 16 MiB of each process that counts.
    """
    if LINEAR_ALGEBRA in sys.modules:
        yield
        return
    sys.modules[LINEAR_ALGEBRA] = None  # type: ignore[assignment]  # to import it raises ImportError
    try:
        yield
    finally:
        del sys.modules[LINEAR_ALGEBRA]
