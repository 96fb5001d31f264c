"""Compiling a counting kernel once, with a cache on disk where one can be written, and giving back what that took."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from pathlib import Path
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


@contextlib.contextmanager
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


COMPILER = "libllvmlite"
"""Library of numba's compiler."""
DONT_NEED = 4
"""Linux's MADV_DONTNEED: pages of a file that was only read are read from it again when they are asked for."""


def give_back_freed_memory() -> None:
    """Have the C library keep nothing that is free, and leave out the code of a compiler that has done its work.

    glibc keeps what was freed until it is asked for it. To load one kernel touches some 30 MiB of LLVM's code, which is
    not run again before the next kernel is loaded. Elsewhere than on Linux with glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        system = ctypes.CDLL(None)
        system.malloc_trim(0)
        for start, stop in _code_of_compiler():
            system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), DONT_NEED)


def _code_of_compiler() -> Iterator[tuple[int, int]]:
    """Yield the ranges of addresses at which the compiler's code is mapped to be run, and cannot be written."""
    if "llvmlite" not in sys.modules:
        return
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, *others = line.split()
        if permissions == "r-xp" and COMPILER in others[-1]:
            start, stop = (int(address, 16) for address in addresses.split("-"))
            yield start, stop
