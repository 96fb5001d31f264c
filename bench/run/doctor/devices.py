"""Finds what a measurement can read of this machine: driver, energy and hardware counters, what a container hides."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from bench.measure.gpus import driver, gpu_of, opened, visible_gpus
from bench.run.doctor.finding import Finding

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
