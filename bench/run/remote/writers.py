"""Lets one process at a time write a run in a store, by an object that only one of several can create."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError
from bench.measure.devices import machine_identity
from bench.records.damage import json_of
from bench.records.provenance import same_machine
from bench.records.store.runs import utc_now
from bench.run.remote.copies import RUNS
from bench.run.remote.stores import Store
from bench.run.worker.process import is_gone, process_identity

WRITER = "writer.json"


class Writer:
    """The right to write a run; checked before every change of its list of files."""

    def __init__(self, store: Store, suite: str, run: str, token: str) -> None:
        """Keep what was created."""
        self._store, self._name, self._token = store, f"{RUNS}/{suite}/{run}/{WRITER}", token

    def require(self) -> None:
        """Raise `BenchError` if the right was taken by another since."""
        holder = _holder(self._store, self._name)
        if holder.get("token") != self._token:
            raise BenchError(
                f"{self._store.url}/{self._name} is no longer ours but of {_in_words(holder)}: nothing more is "
                "uploaded. What is done lies in the working folder"
            )

    def give_back(self) -> None:
        """Let go of the run, unless another has taken it."""
        if _holder(self._store, self._name).get("token") == self._token:
            self._store.remove(self._name)


@contextmanager
def writing(store: Store, suite: str, run: str) -> Iterator[Writer]:
    """Hold the right to write a run of a store.

    That of a `bench` of this machine which has ended is taken over.

    Raises:
        BenchError: If another holds it, or may still hold it.
    """
    name, token = f"{RUNS}/{suite}/{run}/{WRITER}", uuid.uuid4().hex
    mine = {
        "token": token,
        "host": platform.node() or "localhost",
        "machine": machine_identity(),
        "process": process_identity(os.getpid()),
        "since": utc_now(),
    }
    content = json.dumps(mine, indent=2).encode()
    if not store.create(name, content):
        holder = _holder(store, name)
        here = holder.get("host") == mine["host"] and same_machine(str(holder.get("machine")), mine["machine"])
        if not (here and is_gone(str(holder.get("process", "")))):
            raise BenchError(
                f"the run {suite}/{run} in {store.url} is being written by {_in_words(holder)}. Wait for it, or start "
                f"another run with --new; if it no longer runs, remove the object {store.url}/{name}"
            )
        store.remove(name)
        if not store.create(name, content):
            raise BenchError(
                f"the run {suite}/{run} in {store.url} was just taken by another; the same command tries again"
            )
    writer = Writer(store, suite, run, token)
    try:
        yield writer
    finally:
        writer.give_back()


def _holder(store: Store, name: str) -> dict[str, object]:
    text = store.read(name)
    try:
        found = json_of(text) if text is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _in_words(holder: dict[str, object]) -> str:
    if not holder:
        return "nobody who says who it is"
    process = str(holder.get("process", "")).partition(":")[0]
    return f"{holder.get('host')} process {process} since {holder.get('since')}"
