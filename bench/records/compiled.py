"""Compiling a counting kernel once, with a cache on disk where one can be written, and giving back what that took."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
        for one in mappings() if "llvmlite" in sys.modules else ():
            if one.permissions == "r-xp" and COMPILER in one.file:
                system.madvise(ctypes.c_void_p(one.start), ctypes.c_size_t(one.stop - one.start), DONT_NEED)


class Mapping(NamedTuple):
    """A range of addresses, from `start` up to `stop`, with its file or the kernel's name for it, if any."""

    start: int
    stop: int
    permissions: str
    inode: int
    file: str


def mappings() -> Iterator[Mapping]:
    """Yield what is mapped into the memory of this process (proc(5), maps).

    Raises:
        OSError: If the kernel does not tell.
    """
    for line in filter(None, os.fsdecode(Path("/proc/self/maps").read_bytes()).split("\n")):
        addresses, permissions, _, _, inode, *file = line.split(None, 5)
        start, stop = (int(address, 16) for address in addresses.split("-"))
        yield Mapping(start, stop, permissions, int(inode), "".join(file))
