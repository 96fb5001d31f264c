"""Memory that is full: telling it from other failures, whatever the framework, and going on after it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from bench.errors import Unsupported
from bench.records.throughput import Ended

T = TypeVar("T")

DEVICE_SAYS = (
    "CUDA out of memory",  # torch
    "CUDA_ERROR_OUT_OF_MEMORY",  # the driver, by TensorRT and others
    "cudaErrorMemoryAllocation",  # the CUDA runtime
    "CUDA failure 2: out of memory",  # ONNX Runtime
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CL_MEM_OBJECT_ALLOCATION_FAILURE",  # OpenCL, by OpenVINO
    "CL_OUT_OF_RESOURCES",
    "MPS backend out of memory",
)
HOST_SAYS = (
    "DefaultCPUAllocator: can't allocate memory",  # torch
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
    "bad allocation",
    "Failed to allocate memory for requested buffer",  # ONNX Runtime
    "Insufficient memory",  # OpenCV
)


@dataclass(frozen=True)
class Refusal:
    """Work that could not be done here, and why."""

    ended: Ended
    reason: str


def attempt(work: Callable[[], T]) -> T | Refusal:
    """Do some work; that it is refused, or that memory is full, is an answer. Any other failure is raised."""
    try:
        return work()
    except Unsupported as error:
        refusal = Refusal("unsupported", str(error))
    except Exception as error:
        ended = memory_that_is_full(error)
        if ended is None:
            raise
        refusal = Refusal(ended, " ".join(str(error).split())[:200])
    # Only after the handler does nothing hold the traceback any more, and with it the arrays of its frames.
    gc.collect()
    return refusal


def memory_that_is_full(error: BaseException) -> Literal["oom_device", "oom_host"] | None:
    """Return which memory an exception says is full, or None; frameworks share no exception type."""
    said = str(error)
    if type(error).__name__ == "OutOfMemoryError" or any(sign in said for sign in DEVICE_SAYS):
        return "oom_device"
    if isinstance(error, MemoryError) or any(sign in said for sign in HOST_SAYS):
        return "oom_host"
    return None


def free_host_bytes(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that this process could still get, in bytes: of the machine or of its control group; None if not told.

    Asked before a batch that would not fit: Linux ends a process that takes too much, without an exception.
    """
    free = [value for value in (_available(proc), _left_in(group)) if value is not None]
    return min(free, default=None)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _left_in(group: Path) -> int | None:
    """What the limit of a control group of version 2 leaves; None without a limit."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii")) - _reclaimable(group)
    except (OSError, ValueError):
        return None
    return max(0, int(limit) - used) if limit.isdigit() else None


def _reclaimable(group: Path) -> int:
    """Page cache that the kernel gives back when asked."""
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
