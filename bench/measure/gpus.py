"""NVIDIA GPUs as the driver (NVML) shows them, and which of them a framework calls `cuda:0`, `cuda:1`, and so on.

Asking never raises: a driver that is not there, and a GPU that is lost, are answers.

Source of the rules of `CUDA_VISIBLE_DEVICES`: CUDA C++ Programming Guide, "CUDA Environment Variables".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a slice of one (MIG).

    Attributes:
        index: NVML's, by bus; workers number by bus as well (`CUDA_DEVICE_ORDER`).
        uuid: `GPU-…` or `MIG-…`; empty where the driver does not tell.
        name: Name of the product.
        capability: Compute capability, (major, minor); None where the driver does not tell.
        memory_bytes: All of its memory; None where the driver does not tell.
    """

    index: int
    uuid: str
    name: str
    capability: tuple[int, int] | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Driver:
    """Hold what the driver tells about itself and its GPUs.

    Attributes:
        version: Version of the driver; None without one.
        cuda: Newest CUDA that it serves, (major, minor); None without a driver.
        gpus: GPUs that answer, by index.
        slices: Slices (MIG) of those GPUs that are cut into some.
        lost: One sentence for each GPU that does not answer.
        reason: Reason why there is no driver; None where there is one.
    """

    version: str | None = None
    cuda: tuple[int, int] | None = None
    gpus: tuple[Gpu, ...] = ()
    slices: tuple[Gpu, ...] = ()
    lost: tuple[str, ...] = ()
    reason: str | None = None


@contextmanager
def opened() -> Iterator[Any | str]:
    """Give NVML's module, initialised, or the reason why it cannot be asked; shut it down afterwards."""
    try:
        import pynvml
    except ImportError:
        yield "nvidia-ml-py is not installed"
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield f"no NVIDIA driver: {error}"
        return
    try:
        yield pynvml
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def driver() -> Driver:
    """Ask the driver for itself and for every GPU that it knows."""
    with opened() as nvml:
        if isinstance(nvml, str):
            return Driver(reason=nvml)
        cuda = _answer_or_none(nvml, lambda: int(nvml.nvmlSystemGetCudaDriverVersion_v2()))
        gpus, slices, lost = [], [], []
        for index in range(_answer_or_none(nvml, nvml.nvmlDeviceGetCount) or 0):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                gpus.append(_gpu(nvml, handle, index))
                slices += _slices(nvml, handle, index)
            except nvml.NVMLError as error:
                lost.append(f"GPU {index} does not answer: {error}")
        return Driver(
            version=_text(_answer_or_none(nvml, lambda: nvml.nvmlSystemGetDriverVersion())),
            cuda=None if cuda is None else (cuda // 1000, cuda % 1000 // 10),
            gpus=tuple(gpus),
            slices=tuple(slices),
            lost=tuple(lost),
        )


def visible_gpus(asked: Driver | None = None, visible: str | None = None) -> tuple[Gpu, ...]:
    """Return the GPUs that a process started from here can use: item i is what a framework calls `cuda:i`.

    Args:
        asked: Driver's answer; asked now if None.
        visible: Value in the place of the variable `CUDA_VISIBLE_DEVICES` of this process; None takes that variable.
    """
    found = driver() if asked is None else asked
    chosen = os.environ.get(VISIBLE) if visible is None else visible
    if chosen is None:
        return tuple(_usable(gpu, found.slices) for gpu in found.gpus)
    seen: list[Gpu] = []
    for entry in chosen.split(","):
        gpu = _named(entry.strip(), found)
        if gpu is None:
            break  # CUDA looks no further than the first entry that names nothing.
        seen.append(gpu)
    # CUDA shows no device at all where one is named twice.
    return tuple(seen) if len({gpu.uuid or gpu.index for gpu in seen}) == len(seen) else ()


def gpu_of(device: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the GPU that a target's device means; None for a processor, or where there are fewer.

    >>> gpu_of("cuda:1", [Gpu(0, "GPU-a", "A"), Gpu(3, "GPU-b", "B")]).uuid
    'GPU-b'
    """
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    index = int(match[1] or 0) if match else len(gpus)
    return gpus[index] if index < len(gpus) else None


LEAST_CAPABILITY = {12: (5, 0), 13: (7, 5)}
"""CUDA's major version -> oldest GPU that it has kernels for (release notes of the CUDA Toolkit)."""
LEAST_DRIVER = {12: "525", 13: "580"}
"""CUDA's major version -> oldest driver of Linux that runs all of its minor versions (CUDA Compatibility, table 1)."""


def torch_cuda(site: Path | None = None) -> tuple[int, int] | None:
    """Return the CUDA that torch is built for, without importing it; None for a CPU build or without torch.

    Args:
        site: Folder of packages in the place of this interpreter's.
    """
    if site is not None:
        folder: Path | None = site / "torch"
    else:
        spec = find_spec("torch")
        folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    try:
        text = (folder / "version.py").read_text(encoding="utf-8") if folder is not None else ""
    except OSError:
        return None
    match = re.search(r"^cuda\b[^=\n]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
    return (int(match[1]), int(match[2])) if match else None


def misfit(found: Driver, gpu: Gpu, built_for: tuple[int, int] | None) -> str | None:
    """Return why a build of torch cannot use a GPU, in a clause that says what would; None where it can.

    Args:
        found: The driver.
        gpu: One of its GPUs.
        built_for: CUDA of the build of torch; None if that is not known, or it is a CPU build.
    """
    if built_for is None:
        return None
    major = built_for[0]
    build = f"torch is built for CUDA {built_for[0]}.{built_for[1]}"
    if found.cuda is not None and found.cuda[0] < major:
        needs = f"driver {LEAST_DRIVER[major]} or newer" if major in LEAST_DRIVER else "a newer driver"
        return f"{build}, which needs {needs}; driver {found.version} serves CUDA {found.cuda[0]}.{found.cuda[1]}"
    least = LEAST_CAPABILITY.get(major)
    if least is not None and gpu.capability is not None and gpu.capability < least:
        have = f"{gpu.capability[0]}.{gpu.capability[1]}"
        return f"{build}, whose kernels need compute capability {least[0]}.{least[1]}; {gpu.name} has {have}"
    return None


def _named(entry: str, found: Driver) -> Gpu | None:
    if entry.isdigit():
        gpu = next((gpu for gpu in found.gpus if gpu.index == int(entry)), None)
        return None if gpu is None else _usable(gpu, found.slices)
    alike = [gpu for gpu in (*found.gpus, *found.slices) if entry and gpu.uuid.startswith(entry)]
    if len(alike) != 1:
        return None  # An abbreviation must name one alone.
    return _usable(alike[0], found.slices) if alike[0] in found.gpus else alike[0]


def _usable(gpu: Gpu, slices: Sequence[Gpu]) -> Gpu:
    """Return the first slice of a GPU that is cut into slices, which is what a process gets; else the GPU."""
    return next((one for one in slices if one.index == gpu.index), gpu)


def _gpu(nvml: Any, handle: object, index: int) -> Gpu:
    capability = _answer_or_none(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
    return Gpu(
        index=index,
        uuid=_text(_answer_or_none(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))) or "",
        name=_text(nvml.nvmlDeviceGetName(handle)) or "",
        capability=None if capability is None else (int(capability[0]), int(capability[1])),
        memory_bytes=memory_bytes(nvml, handle),
    )


def memory_bytes(nvml: Any, handle: object) -> int | None:
    """Return all memory of a GPU of an opened driver; None where it does not tell."""
    found: int | None = _answer_or_none(nvml, lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).total))
    return found


def _slices(nvml: Any, handle: object, index: int) -> list[Gpu]:
    mode = _answer_or_none(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle))
    if not mode or not mode[0]:
        return []
    found = []
    for number in range(_answer_or_none(nvml, lambda: int(nvml.nvmlDeviceGetMaxMigDeviceCount(handle))) or 0):
        one = _answer_or_none(nvml, partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number))
        if one is not None:
            found.append(_gpu(nvml, one, index))
    return found


def _answer_or_none(nvml: Any, question: Callable[[], Any]) -> Any:
    """Return the driver's answer; None where it, or these bindings, have none."""
    try:
        return question()
    except (nvml.NVMLError, AttributeError):
        return None


def _text(value: object) -> str | None:
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)
