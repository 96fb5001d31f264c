"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from bench.records import Record


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step; survives a kill at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    write_atomically(path, record.to_json())
