"""Compiling a counting kernel once, with a cache on disk where one can be written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, TypeVar

T = TypeVar("T")

LINEAR_ALGEBRA = "scipy.linalg.cython_blas"


def given(of: str, axes: int = 1) -> str:
    """Return numba's type of an array in C order that is only read, for signatures."""
    return f"Array({of}, {axes}, 'C', readonly=True)"


def compiled(*signatures: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Make a function that is compiled at its first call, or loaded from numba's cache.

    numba is imported no sooner: it takes a second that only scoring should pay.

    Args:
        signatures: Types of the result and the arguments as numba writes them, such as `void(int64[::1], boolean)`.
    """

    def of_function(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=1)
        def kernel() -> Callable[..., T]:
            import numba

            with _without_linear_algebra():
                try:
                    made: Callable[..., T] = numba.njit(list(signatures), cache=True, nogil=True)(function)
                except (RuntimeError, OSError):  # no folder for the cache can be written, or it is full
                    made = numba.njit(list(signatures), cache=False, nogil=True)(function)
            return made

        @wraps(function)
        def called(*arguments: Any) -> T:
            return kernel()(*arguments)

        return called

    return of_function


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
