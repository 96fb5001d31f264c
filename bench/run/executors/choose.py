"""Chooses the executor that the command line asks for; an engine's package is imported only when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

from bench.errors import BenchError
from bench.measure.devices import allowed_cores, machine_identity, this_machine
from bench.measure.gpus import visible_gpus
from bench.records import digest
from bench.run.executor import Executor
from bench.run.executors.local import LocalExecutor
from bench.run.executors.placement import Slot
from bench.run.workers import Tell, workers_of

ENGINES = ("local", "ray", "slurm")


def this_machine_only(*, fresh: bool) -> Executor:
    """Return what does one job after the other here, each in a `fresh` interpreter or by a parent that has imported."""
    return LocalExecutor(partial(workers_of, fresh=fresh))


def executor_of(
    engine: str,
    *,
    fresh: bool,
    devices: str | None = None,
    share_node: bool = False,
    beside: bool = True,
    address: str | None = None,
    slurm: Sequence[str] = (),
    results: Path = Path("results"),
    tell: Tell = print,
) -> Executor:
    """Return the executor that flags ask for.

    Args:
        engine: One of `ENGINES`.
        fresh: True if each job of this machine gets an interpreter.
        devices: Parts of this machine that work at the same time; None = all of it as one.
        share_node: True if a job that measures has only its device to itself, instead of its node.
        beside: True if predictions on this machine's processor run two at a time, where it is not divided.
        address: Address of the head of a Ray cluster.
        slurm: Parameters of every SLURM job, `NAME=VALUE`.
        results: Folder of all results, which every node sees.
        tell: Gets a line while a cluster is waited for.

    Raises:
        BenchError: If flags contradict each other, or what they name is not here.
    """
    for flag, given, goes_with in (
        ("--devices", devices, "local"),
        ("--address", address, "ray"),
        ("--slurm", slurm, "slurm"),
    ):
        if given and engine != goes_with:
            raise BenchError(f"{flag} goes with --executor {goes_with}, not with {engine}: leave one of them out")
    if engine == "ray":
        from bench.run.executors.ray import RayExecutor

        return RayExecutor(address, share_node=share_node)
    if engine == "slurm":
        from bench.run.executors.slurm import SlurmExecutor

        return SlurmExecutor(results, slurm, tell, share_node=share_node)
    if share_node and devices is None:
        raise BenchError("--share-node goes with --devices: without it jobs of this machine never run side by side")
    slots = slots_of(devices) if devices is not None else ()
    return LocalExecutor(partial(workers_of, fresh=fresh), slots, share_node=share_node, beside=beside)


def slots_of(text: str) -> tuple[Slot, ...]:
    """Return the parts that a list names: GPUs by number (`0,1`), or sets of cores (`cpu:0-3,cpu:4-7`, `cpu:0+2`).

    A job on a GPU that shares the machine gets its part of the cores, one that has the machine to itself all of them.
    A job on a set of cores is pinned to it.

    Raises:
        BenchError: If it names what is not there, the same twice, or both GPUs and cores.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise BenchError(
            f"--devices {text!r}: expected numbers of GPUs, such as 0,1, or cores, such as cpu:0-3,cpu:4-7"
        )
    of_cores = [name.startswith("cpu:") for name in names]
    if any(of_cores) and not all(of_cores):
        raise BenchError(f"--devices {text}: names GPUs and sets of cores; name parts of one kind")
    return _core_sets(names, text) if any(of_cores) else _gpus(names, text)


def _core_sets(names: list[str], text: str) -> tuple[Slot, ...]:
    allowed = set(allowed_cores())
    slots = []
    for name in names:
        cores = tuple(sorted(_cores(name.removeprefix("cpu:"), text)))
        if missing := sorted(set(cores) - allowed):
            raise BenchError(
                f"--devices {text}: {name} names the cores {_listed(missing)}, but those allowed here are "
                f"{_listed(sorted(allowed))}"
            )
        alike = machine_identity(len(cores))
        slots.append(Slot(name=name, alike=alike, device="cpu", cores=cores, measuring_cores=cores))
    for one, other in combinations(slots, 2):
        if shared := sorted(set(one.cores or ()) & set(other.cores or ())):
            raise BenchError(f"--devices {text}: {one.name} and {other.name} share the cores {_listed(shared)}")
    return tuple(slots)


def _cores(text: str, given: str) -> set[int]:
    """Return the cores of `0-3`, `5` or `0-1+4`."""
    found: set[int] = set()
    for part in text.split("+"):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise BenchError(f"--devices {given}: {text!r} is no set of cores; write cpu:0-3, cpu:5 or cpu:0-1+4")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def _gpus(names: list[str], text: str) -> tuple[Slot, ...]:
    gpus = visible_gpus()
    if wrong := [name for name in names if not name.isdigit() or int(name) >= len(gpus)]:
        there = ", ".join(f"{number} ({gpu.name})" for number, gpu in enumerate(gpus)) or "none"
        raise BenchError(
            f"--devices {text}: there is no GPU {wrong[0]} here. GPUs: {there}. Cores are named as cpu:0-3; see "
            "bench doctor"
        )
    if len(set(names)) < len(names):
        raise BenchError(f"--devices {text}: names a GPU twice")
    cores, machine = allowed_cores(), this_machine()
    share = len(cores) // len(names)
    return tuple(
        Slot(
            name=f"cuda:{name}",
            alike=digest([machine.identity, gpus[int(name)].name, gpus[int(name)].memory_bytes]),
            device="cuda",
            cores=cores[place * share : (place + 1) * share] if share else None,
            gpu=gpus[int(name)].uuid or str(int(name)),
        )
        for place, name in enumerate(names)
    )


def _listed(cores: list[int]) -> str:
    return ", ".join(map(str, cores))
