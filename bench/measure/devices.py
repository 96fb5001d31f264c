"""Decides which device `auto` means here, and what this machine is called in content keys."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from bench.measure.gpus import driver, gpu_of, misfit, torch_cuda, visible_gpus
from bench.records import digest
from bench.records.provenance import memory_size, with_memory, with_memory_in_words


def auto_device() -> str:
    """`cuda` where there is a GPU that this interpreter's torch is built for, else `cpu`.

    What speaks against a GPU that is there stands in `bench doctor`.
    """
    found = driver()
    gpu = gpu_of("cuda", visible_gpus(found))
    return "cpu" if gpu is None or misfit(found, gpu, torch_cuda()) else "cuda"


def text_of(path: str | Path) -> str | None:
    """Return what the kernel or the system says in a file, without space at its ends; None where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def cpu_model() -> str:
    """Model name of the processor."""
    named = (line for line in (text_of("/proc/cpuinfo") or "").splitlines() if line.startswith("model name"))
    return next((line.partition(":")[2].strip() for line in named), platform.processor() or platform.machine())


def kernel_bytes(name: str, file: Path = Path("/proc/self/status")) -> int | None:
    """Return a figure that the kernel tells in KiB, such as `VmRSS`, in bytes; None where it tells none."""
    kib = number_in(file, f"{name}:")
    return None if kib is None else kib * 1024


def number_in(file: Path, name: str) -> int | None:
    """Return the number behind a name that begins a line of a file of the kernel; None where there is none."""
    lines = map(str.split, (text_of(file) or "").splitlines())
    return next((int(words[1]) for words in lines if words[:1] == [name]), None)


def allowed_cores() -> tuple[int, ...]:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def machine_in_words(cores: int | None = None) -> str:
    """Processor, number of cores (all that are allowed if left out), GPUs and their driver, memory."""
    cores, memory = cores or len(allowed_cores()), _memory()
    words = ", ".join([cpu_model(), f"{cores} core{'' if cores == 1 else 's'}", *_gpus_in_words()])
    return words if memory is None else with_memory_in_words(words, memory)


def machine_identity(cores: int | None = None) -> str:
    """Return what makes timings comparable: the digest of processor, core count, GPUs that can be used and their
    driver, and operating system; and the memory, as `memory_size` has it, where it is known.

    Only stable facts: no host name, no clock frequency of the moment. Two GPUs of a name with unlike memory are two
    products; two that are alike in both are one.

    Args:
        cores: Number of cores that are measured on; all that this process may run on if left out.
    """
    gpus = _gpus_in_words(", {} bytes")
    found = digest([cpu_model(), cores or len(allowed_cores()), *gpus, platform.system(), platform.machine()])
    memory = _memory()
    return found if memory is None else with_memory(found, memory)


def _gpus_in_words(memory: str = "") -> list[str]:
    """Return the GPUs that can be used, and their driver; none where there is no GPU."""
    found = driver()
    gpus = [f"{gpu.name}{memory.format(gpu.memory_bytes)}" for gpu in visible_gpus(found)]
    return [*gpus, f"driver {found.version}"] if gpus else []


@dataclass(frozen=True)
class Machine:
    """A machine that jobs are planned for, or done on.

    Attributes:
        identity: Identity of the hardware with its memory, as in the key of a timing.
        words: Processor, cores, GPUs, memory and driver.
        cores: Cores that a job gets which does not say how many threads it takes.
        device: The device that `auto` means there.
    """

    identity: str
    words: str
    cores: int
    device: str


def this_machine(cores: int | None = None) -> Machine:
    """Describe this machine.

    Args:
        cores: Number of cores that jobs get; all that this process may run on if left out.
    """
    return Machine(
        identity=machine_identity(cores),
        words=machine_in_words(cores),
        cores=cores or len(allowed_cores()),
        device=auto_device(),
    )


def _memory() -> str | None:
    """Return all memory of the machine, as `memory_size` has it."""
    try:
        return memory_size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return None
