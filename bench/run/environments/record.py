"""Records where a run ran: the machine, the interpreters, their packages and locks.

Beside the results lie `environment.json`, `sbom.cdx.json` and, for each adapter with an environment of
its own, `locks/<adapter>.lock`, from which `bench repro --rebuild` makes that environment again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from bench.measure.devices import machine_identity, machine_in_words
from bench.measure.environment import capture, git_state, lasting
from bench.records import Provenance, digest
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.invocation import KEY
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts, recorded_sha256
from bench.run.environments.environment import Environment
from bench.run.environments.interpreters import Interpreters, Inventory, inventory, lock_digest
from bench.run.environments.sbom import bill_of_materials


def write_environment(
    run: RunFolder, interpreters: Interpreters, adapters: Iterable[str], flags: Sequence[str] = ()
) -> None:
    """Write what is known of this machine and of the interpreters of these adapters, and `flags`, those of the command.

    Raises:
        BenchError: If an interpreter cannot be asked for its packages.
    """
    names = sorted(set(adapters))
    inventories = {name: inventory(interpreters.python(name)) for name in names}
    described: dict[str, JsonValue] = {name: _interpreter(interpreters, name, inventories[name]) for name in names}
    tree = harness_root()
    environment = {**captured(tree), "git": git_state(tree), "interpreters": described, KEY: list(flags)}
    write_atomically(run.path / layout.ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
    used = [(inventory(Path(sys.executable)), ["bench"]), *((inventories[name], [name]) for name in names)]
    write_atomically(run.path / layout.SBOM, json.dumps(bill_of_materials(used), indent=2) + "\n")
    for name, lock in interpreters.locks.items():
        if name in inventories:
            write_atomically(run.lock_of(name), lock.read_text(encoding="utf-8"))


def _interpreter(interpreters: Interpreters, adapter: str, found: Inventory) -> JsonValue:
    """Return which interpreter ran an adapter; `lock_sha256` is None where it has no environment of its own."""
    lock = interpreters.locks.get(adapter)
    made = None if lock is None else Environment(lock.parent).made()
    python = interpreters.python(adapter)
    kind = "isolated" if lock is not None else "running" if python == Path(sys.executable) else "chosen"
    return {
        "kind": kind,
        "python": f"{found.implementation} {found.version}",
        "executable": str(python) if kind != "running" else python.name,
        "shared": made is not None and made.shared,
        "lock_sha256": None if lock is None else lock_digest(lock.read_text(encoding="utf-8")),
    }


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
