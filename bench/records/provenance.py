"""Records where, and with which code, one job was done."""

from __future__ import annotations

from bench.records.base import Record


class Provenance(Record):
    """State where, and with which code, one job was done; written when it begins, so that a resumed run keeps it.

    Attributes:
        commit: Git commit of the harness, hex; None outside of a git checkout.
        dirty: True if tracked files had changed since that commit; None where that is not known.
        machine: What makes timings comparable, as in the key of a timing: a digest, and the memory as `memory_size` has
            it. Records of before have no memory; `bench.records.store.runs.read_job` adds it from their environment.
        host: Description of the same machine: processor, cores, GPUs, memory.
        environment: Name of the environment record in the run's folder `environments/`.
        node: Name of the machine in its cluster; None where the run had this one only.
    """

    commit: str | None
    dirty: bool | None
    machine: str
    host: str
    environment: str
    node: str | None = None


def memory_size(total_bytes: int) -> str:
    """Return the size in which a machine's memory was sold, for what its kernel says that there is.

    Firmware, graphics and the kernel itself take up to an eighth of it, and not the same on each of several equal
    machines. Sizes that are sold are quarters of powers of two; the next of these above (never below 1 GiB) is the same
    for all of them.

    >>> [memory_size(round(gib * 2**30)) for gib in (15.3, 15.6, 16, 23.4, 251.4, 251.6, 376.4, 503.5)]
    ['16 GiB', '16 GiB', '16 GiB', '24 GiB', '256 GiB', '256 GiB', '384 GiB', '512 GiB']
    """
    gib = -(-total_bytes // 2**30)
    step = max(1, 2 ** ((gib - 1).bit_length() - 3)) if gib > 4 else 1
    return f"{-(-gib // step) * step} GiB"


def with_memory(machine: str, memory: str) -> str:
    """Return the identity of a machine with its memory."""
    return f"{machine} {memory}"


def has_memory(machine: str) -> bool:
    """Return whether the identity of a machine holds its memory."""
    return " " in machine


def without_memory(machine: str) -> str:
    """Return the identity of a machine as it was before its memory was a part of it."""
    return machine.partition(" ")[0]


def same_machine(one: str, other: str) -> bool:
    """Return whether two identities are of one kind of machine; one of before says nothing of the memory.

    >>> same_machine("a 16 GiB", "a 16 GiB"), same_machine("a 16 GiB", "a 32 GiB"), same_machine("a 16 GiB", "a")
    (True, False, True)
    """
    if has_memory(one) != has_memory(other):
        return without_memory(one) == without_memory(other)
    return one == other


def with_memory_in_words(host: str, memory: str) -> str:
    """Return the description of a machine with its memory."""
    return f"{host}, {memory} of memory"
