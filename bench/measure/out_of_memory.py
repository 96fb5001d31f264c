"""Memory that is full: telling it from other failures, whatever the framework, and going on after it."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from bench.errors import Unsupported, in_one_line
from bench.measure.devices import kernel_bytes, number_in, text_of
from bench.records.throughput import Ended

T = TypeVar("T")

DEVICE_SAYS = (
    "cudaErrorMemoryAllocation",  # the CUDA runtime
    "ALLOC_FAILED",  # of cuDNN, cuBLAS, cuSOLVER and cuSPARSE: <LIBRARY>_STATUS_ALLOC_FAILED
    "ALLOCATION_FAILED",  # cuDNN from version 9: …_DEVICE_ALLOCATION_FAILED
    "CUBLAS_STATUS_NOT_INITIALIZED",  # what making a handle answers where its workspace does not fit
    "CUSOLVER_STATUS_NOT_INITIALIZED",
    # cuDNN tried every algorithm and none got its workspace; what no algorithm can do is refused before.
    "Unable to find a valid cuDNN algorithm",
    "unable to find an engine to execute this computation",
    "CL_MEM_OBJECT_ALLOCATION_FAILURE",  # OpenCL, by OpenVINO
    "CL_OUT_OF_RESOURCES",
)
DEVICE_IN_WORDS = re.compile(
    r"\b(cuda|gpu|triton|nccl|tensorrt|cudnn|hip|mps|device)\b.*out[ _]?of[ _]?memory"
    r"|cuda_error_out_of_memory|\btensorrt\b.*outofmemory|error code 2: outofmemory",
    re.IGNORECASE | re.DOTALL,
)
"""This is what a library that names its device before the words says: torch, its compiler, NCCL, TensorRT, the driver.
"""
ARENA = re.compile(r"bfc_?arena|BFCArena|Failed to allocate memory for requested buffer")
"""ONNX Runtime's allocator, which serves a processor and a GPU alike and does not say which."""
HOST_SAYS = (
    "DefaultCPUAllocator: can't allocate memory",  # torch
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
    "bad allocation",
    "Insufficient memory",  # OpenCV
)


@dataclass(frozen=True)
class Refusal:
    """Work that could not be done here, and why."""

    ended: Ended
    reason: str


def attempt(work: Callable[[], T], *, device: str = "cpu") -> T | Refusal:
    """Do some work; that it is refused, or that memory is full, is an answer. Any other failure is raised."""
    try:
        return work()
    except Unsupported as error:
        refusal = Refusal("unsupported", str(error))
    except Exception as error:
        ended = memory_that_is_full(error, device=device)
        if ended is None:
            raise
        refusal = Refusal(ended, in_one_line(error, 200))
    # Only after the handler does nothing hold the traceback any more, and with it the arrays of its frames.
    gc.collect()
    return refusal


def memory_that_is_full(error: BaseException, *, device: str = "cpu") -> Literal["oom_device", "oom_host"] | None:
    """Return which memory an exception, or one that it was raised from, says is full; None if none does.

    Frameworks share no exception type, and a compiler wraps what it caught in its own.

    Args:
        error: Error as it was raised.
        device: Device that the work was done on: some allocators serve several and do not say which was full.
    """
    for one in _chain(error):
        said = str(one)
        if type(one).__name__ == "OutOfMemoryError" or DEVICE_IN_WORDS.search(said):
            return "oom_device"
        if any(sign in said for sign in DEVICE_SAYS):
            return "oom_device"
        if ARENA.search(said):
            return "oom_host" if device == "cpu" else "oom_device"
        if isinstance(one, MemoryError) or any(sign in said for sign in HOST_SAYS):
            return "oom_host"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from or while handling, each once."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def free_host_bytes(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that this process could still get, in bytes: of the machine or of its control group; None if not told.

    Asked before a batch that would not fit: Linux ends a process that takes too much, without an exception.
    """
    free = [value for value in (kernel_bytes("MemAvailable", proc), _left_in(group)) if value is not None]
    return min(free, default=None)


def _left_in(group: Path) -> int | None:
    """Return what the limit of a control group of version 2 leaves; None without a limit."""
    limit, used = (text_of(group / f"memory.{name}") or "" for name in ("max", "current"))
    if not (limit.isdigit() and used.isdigit()):
        return None
    # The kernel gives page cache back when asked.
    return max(0, int(limit) - int(used) + (number_in(group / "memory.stat", "inactive_file") or 0))
