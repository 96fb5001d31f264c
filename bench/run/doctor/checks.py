"""Finds what is ready on this machine, what is missing, and the command that fixes it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from bench.adapter import adapter_folder, adapter_folders
from bench.data.formats.by_name import open_dataset
from bench.dataset import dataset_names
from bench.errors import BenchError
from bench.measure.devices import allowed_cores, auto_device, cpu_model
from bench.measure.floor import stage_floor_ns
from bench.measure.gpus import VISIBLE, driver, misfit, torch_cuda, visible_gpus
from bench.run.doctor.devices import device_findings
from bench.run.doctor.finding import Finding
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
