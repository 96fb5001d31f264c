"""Which device `auto` means here, and what this machine is called in content keys."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bench.records import digest


def nvidia_gpus() -> list[str]:
    """Names of the NVIDIA GPUs the driver shows, in its order; empty without a driver."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    finally:
        pynvml.nvmlShutdown()


def auto_device() -> str:
    """`cuda` where the driver shows a GPU, else `cpu`."""
    return "cuda" if nvidia_gpus() else "cpu"


def cpu_model() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def allowed_cores() -> tuple[int, ...]:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def machine_in_words() -> str:
    """Processor, number of cores and GPUs."""
    cores = len(allowed_cores())
    return ", ".join([cpu_model(), f"{cores} core{'' if cores == 1 else 's'}", *nvidia_gpus()])


def machine_identity() -> str:
    """Digest of what makes timings comparable: processor, core count, GPUs, operating system.

    Only stable facts: no host name, no clock frequency of the moment.
    """
    return digest([cpu_model(), len(allowed_cores()), *nvidia_gpus(), platform.system(), platform.machine()])
