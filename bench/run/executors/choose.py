"""Chooses the executor that the command line asks for; an engine's package is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.errors import BenchError
from bench.run.executor import Executor
from bench.run.executors.devices import slots_of
from bench.run.executors.local import LocalExecutor
from bench.run.workers import Tell, Workers, workers_of

ENGINES = ("local", "ray", "slurm")


def this_machine_only(*, fresh: bool) -> Executor:
    """Return what does one job after the other on this machine.

    Args:
        fresh: True if each job gets an interpreter, instead of a fork of a parent that has imported its framework.
    """
    return LocalExecutor(partial(_workers, fresh))


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
    return LocalExecutor(partial(_workers, fresh), slots, share_node=share_node, beside=beside)


def _workers(fresh: bool, at_once: int) -> Workers:
    return workers_of(fresh=fresh, at_once=at_once)
