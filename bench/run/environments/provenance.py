"""Records, at the moment a job begins, where and with which code it is done."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from bench.measure.devices import machine_identity, machine_in_words
from bench.measure.environment import capture, git_state, lasting
from bench.records import Provenance, digest
from bench.records.names import harness_root
from bench.records.store.files import write_atomically
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts, recorded_sha256


def provenance_now(run: RunFolder, cores: int | None = None, node: str = "") -> Provenance:
    """Describe this machine and the harness as they are now, and keep the record of the environment in the run.

    Only the state of the checkout is asked for anew: nothing else of the record changes while a process lives. It may
    be called on any node; whoever holds the run's lock calls `record_environment` later.

    Args:
        run: The run.
        cores: Number of cores that the job gets; all that are allowed if left out.
        node: Name of this machine in its cluster.
    """
    git = git_state(harness_root())
    environment: dict[str, JsonValue] = {**captured(harness_root()), "git": git}
    name = digest(lasting(environment))[:12]
    file = run.environment(name)
    if not file.is_file():
        write_atomically(file, json.dumps(environment, indent=2) + "\n")
    commit, dirty = git["commit"], git["dirty"]
    return Provenance(
        commit=commit if isinstance(commit, str) else None,
        dirty=dirty if isinstance(dirty, bool) else None,
        machine=machine_identity(cores),
        host=machine_in_words(cores),
        environment=name,
        node=node or None,
    )


def record_environment(run: RunFolder, name: str) -> None:
    """Have the manifest of a run name an environment that a job was done in; the caller holds the run's lock."""
    file = run.environment(name)
    if recorded_sha256(run, file) is None and file.is_file():
        record_facts(run, [file])


@cache
def captured(tree: Path) -> dict[str, JsonValue]:
    """`capture`, once per process."""
    return capture(tree)
