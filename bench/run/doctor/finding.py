"""Describes what `bench doctor` finds, one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of `bench doctor`.

    Attributes:
        subject: Subject of the finding.
        state: `ready`, `missing`, or `note` for something to know.
        detail: The finding itself.
        fix: Command or step that fixes it; empty when nothing is to be done.
    """

    subject: str
    state: Literal["ready", "missing", "note"]
    detail: str
    fix: str = ""
