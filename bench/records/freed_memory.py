"""Gives memory that nothing needs any more back to the system, before what comes next is laid on top of it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

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
