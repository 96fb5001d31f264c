"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0


def wait_for(happened: Callable[[], object]) -> None:
    """Return once it has happened; fails after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, f"did not happen within {PATIENCE_S} s"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process ends within `PATIENCE_S`; a zombie has ended."""

    def ended() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"

    wait_for(ended)
    return True
