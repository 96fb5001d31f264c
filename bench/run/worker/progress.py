"""Word of how far a worker is, and the writes it has not finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from pathlib import Path

from bench.records.store import layout

PROGRESS_INTERVAL_S = 0.5
"""Seconds between two words to the parent."""

STOPPED: ContextVar[Callable[[], bool]] = ContextVar("STOPPED", default=lambda: False)
"""Tells a job that is done without a worker, which a signal would end, that it is to stop."""

MOST_PENDING = 8
"""Batches whose predictions wait in memory to be written; those of instances are large."""


def settled(pending: list[Future[None]]) -> list[Future[None]]:
    """Raise what went wrong in finished writes; keep the rest. Waits when the disk falls behind."""
    if len(pending) > MOST_PENDING:
        pending[0].result()
    for future in pending:
        if future.done():
            future.result()
    return [future for future in pending if not future.done()]


def write_progress(folder: Path, done: int, total: int) -> None:
    """Leave word of how far a job is, for the parent's progress bar; where that cannot be, the job goes on.

    Raises:
        KeyboardInterrupt: If the process that does the job itself was asked to stop.
    """
    if STOPPED.get()():
        raise KeyboardInterrupt
    temporary = folder / f".{layout.PROGRESS}.tmp"
    try:
        temporary.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")
        temporary.replace(folder / layout.PROGRESS)
    except OSError:
        temporary.unlink(missing_ok=True)
