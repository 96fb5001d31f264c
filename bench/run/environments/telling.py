"""Progress of making an environment, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from bench.run.environments.uv import Tell


@contextmanager
def telling() -> Iterator[Tell]:
    """Progress: on a terminal one line that changes, elsewhere a line for each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told: set[str] = set()

        def tell_step(line: str) -> None:
            step = line.partition(": ")[0]
            if step not in told:
                told.add(step)
                print(line, file=sys.stderr)

        yield tell_step
        return
    started = time.monotonic()
    with console.status("") as status:

        def tell(line: str) -> None:
            width = max(20, console.width - 12)
            status.update(f"{time.monotonic() - started:5.0f} s  {line[:width]}")

        yield tell
