"""Records where, and with which code, one job was done."""

from __future__ import annotations

from bench.records.base import Record


class Provenance(Record):
    """State where, and with which code, one job was done; written when it begins, so that a resumed run keeps it.

    Attributes:
        commit: Git commit of the harness, hex; None outside of a git checkout.
        dirty: True if tracked files had changed since that commit; None where that is not known.
        machine: Digest of what makes timings comparable, as in the key of a timing.
        host: Description of the same machine: processor, cores, GPUs.
        environment: Name of the environment record in the run's folder `environments/`.
        node: Name of the machine in its cluster; None where the run had this one only.
    """

    commit: str | None
    dirty: bool | None
    machine: str
    host: str
    environment: str
    node: str | None = None
