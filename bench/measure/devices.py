"""Decides which device `auto` means here, and what this machine is called in content keys."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bench.measure.gpus import driver, gpu_of, misfit, torch_cuda, visible_gpus
from bench.records import digest


def nvidia_gpus() -> list[str]:
    """Return names of the NVIDIA GPUs that this process can use, in a framework's order; empty without a driver."""
    return [gpu.name for gpu in visible_gpus()]


def auto_device() -> str:
    """`cuda` where there is a GPU that this interpreter's torch is built for, else `cpu`.

    What speaks against a GPU that is there stands in `bench doctor`.
    """
    found = driver()
    gpu = gpu_of("cuda", visible_gpus(found))
    return "cpu" if gpu is None or misfit(found, gpu, torch_cuda()) else "cuda"


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
    """Return the digest of what makes timings comparable: processor, core count, GPUs that can be used, operating
    system.

    Only stable facts: no host name, no clock frequency of the moment. Two GPUs of a name with unlike memory are two
    products; two that are alike in both are one.
    """
    gpus = [f"{gpu.name}, {gpu.memory_bytes} bytes" for gpu in visible_gpus()]
    return digest([cpu_model(), len(allowed_cores()), *gpus, platform.system(), platform.machine()])
