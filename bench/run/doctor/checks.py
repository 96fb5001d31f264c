"""Finds what is ready on this machine, what is missing, and the command that fixes it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from bench.adapter import adapter_folder, adapter_folders
from bench.data.formats.by_name import open_dataset
from bench.dataset import dataset_names
from bench.errors import BenchError
from bench.measure.devices import allowed_cores, auto_device, cpu_model
from bench.measure.floor import stage_floor_ns
from bench.measure.gpus import VISIBLE, driver, gpu_of, misfit, opened, torch_cuda, visible_gpus
from bench.run.doctor.lines import Finding
from bench.run.environments.interpreters import (
    Interpreters,
    alternatives,
    installed_packages,
    normal_name,
    required_packages,
)

MIN_FREE_BYTES = 2 * 1024**3
MAX_FLOOR_US = 50.0
"""A stage may cost at most this much; more would show in the times of fast models."""


def examine(interpreters: Interpreters, results: Path) -> list[Finding]:
    """Look at the interpreter, the devices, every adapter and every data set; imports no framework."""
    return [
        Finding("python", "ready", f"{platform.python_version()} at {sys.executable}"),
        Finding("processor", "ready", f"{cpu_model()}, {len(allowed_cores())} cores allowed"),
        _load(),
        _floor(),
        _gpu(interpreters),
        *device_findings(),
        _disk(results),
        *(_adapter(name, interpreters) for name in sorted(adapter_folders())),
        *(_dataset(name) for name in dataset_names()),
    ]


def is_fit(findings: Sequence[Finding]) -> bool:
    """Return whether nothing of the machine and of the adapters is missing; missing data sets are no fault of it."""
    return not any(one.state == "missing" and not one.subject.startswith("data set ") for one in findings)


def _load() -> Finding:
    load, cores = os.getloadavg()[0], len(allowed_cores())
    if load > 0.3 * cores:
        return Finding(
            "load", "note", f"{load:.1f} on {cores} cores", "stop other programs before timing; busy blocks are flagged"
        )
    return Finding("load", "ready", f"{load:.1f} on {cores} cores")


def _floor() -> Finding:
    floor_us = stage_floor_ns() / 1e3
    detail = f"a model that does nothing takes {floor_us:.2f} µs per stage"
    if floor_us >= MAX_FLOOR_US:
        return Finding("harness", "note", detail, "stop other programs before timing; the clock itself is slow here")
    return Finding("harness", "ready", detail)


def _gpu(interpreters: Interpreters) -> Finding:
    asked = driver()
    gpus = visible_gpus(asked)
    if asked.lost:
        fix = "see what the kernel says with: dmesg | grep -i xid; a lost GPU comes back with a reset or a restart"
        return Finding("cuda", "missing", "; ".join(asked.lost), fix)
    if not gpus and asked.gpus:
        detail = f"{len(asked.gpus)} GPUs, and {VISIBLE}={os.environ.get(VISIBLE, '')!r} shows none of them"
        return Finding("cuda", "note", f"{detail}; device auto means {auto_device()}", f"unset {VISIBLE}")
    if not gpus:
        return Finding("cuda", "note", f"no NVIDIA driver or GPU; device auto means {auto_device()}")
    names = ", ".join(gpu.name for gpu in gpus)
    for python in {interpreters.python(name) for name in adapter_folders()}:
        torch = _torch_version(python)
        if torch is not None and "+cpu" in torch:
            fix = "reinstall with: make clean install TORCH_BACKEND=auto"
            return Finding("cuda", "missing", f"{names}, but torch {torch} is a CPU build", fix)
        wrong = [why for gpu in gpus if (why := misfit(asked, gpu, torch_cuda(_site(python))))]
        if wrong:
            fix = "update the driver, or install the torch that this driver serves with: make clean install"
            return Finding("cuda", "missing", f"{names}, but {wrong[0]}; device auto means {auto_device()}", fix)
    return Finding("cuda", "ready", names)


def _site(python: Path) -> Path | None:
    """Return the folder of packages of another interpreter's environment; None for this one's."""
    if python.absolute() == Path(sys.executable).absolute():
        return None
    return next(iter(sorted(python.absolute().parent.parent.glob("lib*/python3*/site-packages"))), Path("/nowhere"))


def _torch_version(python: Path) -> str | None:
    try:
        return installed_packages(python).get("torch")
    except BenchError:
        return None  # The finding of the adapter says so.


def _disk(results: Path) -> Finding:
    existing = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1024**3:.1f} GiB free at {existing}"
    if free < MIN_FREE_BYTES:
        return Finding("disk", "missing", detail, "free some space, or choose another folder with --results DIR")
    return Finding("disk", "ready", detail)


def _adapter(name: str, interpreters: Interpreters) -> Finding:
    python = interpreters.python(name)
    try:
        installed = installed_packages(python)
    except BenchError as error:
        return Finding(f"adapter {name}", "missing", str(error), "choose another interpreter with --python")
    wanted, others = required_packages(name), alternatives(name)
    versions = {package: _version(normal_name(package), installed, others) for package in wanted}
    missing = [package for package, version in versions.items() if version is None]
    if missing:
        file = adapter_folder(name) / "requirements.txt"
        fix = f"{python} -m pip install -c constraints.txt -r {os.path.relpath(file)}"
        return Finding(f"adapter {name}", "missing", f"without {', '.join(missing)}", fix)
    have = ", ".join(f"{package} {version}" for package, version in versions.items())
    return Finding(f"adapter {name}", "ready", have or "needs nothing")


def _version(package: str, installed: Mapping[str, str], others: dict[str, str]) -> str | None:
    return installed.get(package) or installed.get(others.get(package, package))


def _dataset(name: str) -> Finding:
    try:
        dataset = open_dataset(name, {})
        counts = ", ".join(f"{len(dataset.ids(split))} {split}" for split in dataset.splits())
    except (BenchError, ValidationError) as error:
        return Finding(f"data set {name}", "missing", str(error).splitlines()[0], str(error))
    return Finding(f"data set {name}", "ready", f"{counts} images, {len(dataset.classes)} classes")


POWERCAP = Path("/sys/class/powercap")
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
PARANOID_OF_USERS = 2
"""Largest value at which everybody may count the events of their own processes (perf_event_open(2))."""


def device_findings() -> list[Finding]:
    """Look at the container, the GPU's driver, and the counters; reads files and asks the driver."""
    return [_container(), _driver(), _gpu_energy(), rapl(POWERCAP), perf(PARANOID)]


def in_container() -> bool:
    """Return whether this runs in a container, by the files that engines leave in one."""
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _container() -> Finding:
    if in_container():
        return Finding("container", "note", "runs in one; counters and GPUs are what the engine was told to pass on")
    engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
    if engine is None:
        return Finding("container", "note", "runs in none; no docker and no podman here, see docker/README.md")
    toolkit = shutil.which("nvidia-ctk") or shutil.which("nvidia-container-cli")
    gpus = "--gpus all " if toolkit else ""
    detail = f'{engine} is here; start the image with: {engine} run --rm {gpus}--user "$(id -u):$(id -g)" --shm-size 2g'
    return Finding("container", "ready", detail)


def _driver() -> Finding:
    asked = driver()
    if asked.reason is not None:
        fix = "start the container with --gpus all" if in_container() and Path("/proc/driver/nvidia").exists() else ""
        return Finding("GPU driver", "note", asked.reason, fix)
    serves = "" if asked.cuda is None else f", for CUDA up to {asked.cuda[0]}.{asked.cuda[1]}"
    return Finding("GPU driver", "ready", f"{asked.version or 'of unknown version'}{serves}")


def _gpu_energy() -> Finding:
    """Return whether the driver counts energy, or at least power, for the GPU that `cuda` means."""
    gpu = gpu_of("cuda", visible_gpus())
    with opened() as nvml:
        if isinstance(nvml, str) or gpu is None:
            return Finding("GPU energy", "note", nvml if isinstance(nvml, str) else "no GPU")
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(gpu.index)
        except nvml.NVMLError as error:
            return Finding("GPU energy", "note", f"GPU {gpu.index} cannot be asked: {error}")
        for name, question in (
            ("energy counter", "nvmlDeviceGetTotalEnergyConsumption"),
            ("power, which is summed up", "nvmlDeviceGetPowerUsage"),
        ):
            with suppress(nvml.NVMLError, AttributeError):  # refused, or unknown to these bindings
                getattr(nvml, question)(handle)
                return Finding("GPU energy", "ready", name)
        return Finding("GPU energy", "note", "the driver tells neither energy nor power")


def rapl(powercap: Path) -> Finding:
    """Return whether the processor's energy counters can be read.

    Args:
        powercap: Folder of the kernel's power-capping framework
            (https://docs.kernel.org/power/powercap/powercap.html).
    """
    counters = sorted(powercap.glob("*/energy_uj"))
    readable = [file for file in counters if os.access(file, os.R_OK)]
    if readable:
        return Finding("CPU energy", "ready", f"RAPL, {len(readable)} of {len(counters)} counters")
    if not counters:
        detail = "no RAPL counters: a virtual machine, a container, or a processor without them"
        return Finding("CPU energy", "note", detail)
    fix = (
        f"start the container with --user 0 or -v {powercap}:{powercap}:ro and readable files"
        if in_container()
        else f"sudo chmod a+r {powercap}/*/energy_uj (until the next boot)"
    )
    return Finding("CPU energy", "note", f"RAPL is there, but not readable by user {os.getuid()}", fix)


def perf(paranoid: Path) -> Finding:
    """Return whether the kernel lets users count hardware events of their processes.

    Args:
        paranoid: The kernel's setting (https://docs.kernel.org/admin-guide/sysctl/kernel.html).
    """
    try:
        value = int(paranoid.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return Finding("perf events", "note", "the kernel has none, or does not say")
    if value <= PARANOID_OF_USERS:
        return Finding("perf events", "ready", f"perf_event_paranoid is {value}")
    fix = (
        "start the container with --cap-add PERFMON"
        if in_container()
        else f"sudo sysctl kernel.perf_event_paranoid={PARANOID_OF_USERS}"
    )
    return Finding("perf events", "note", f"perf_event_paranoid is {value}", fix)
