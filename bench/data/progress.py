"""The bar that a command on data shows while it works; nothing where standard error is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Advance: TypeAlias = Callable[[int, int | None], None]
"""Told how much is done, and of how much where that is known."""


@contextmanager
def bar(console: Console, text: str, *, unit: Literal["images", "bytes"]) -> Iterator[Advance]:
    """A bar on a terminal; the function that it gives is told how far the work is."""
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    amount: list[ProgressColumn] = [MofNCompleteColumn(), TextColumn("images"), TimeElapsedColumn()]
    if unit == "bytes":
        amount = [DownloadColumn(), TransferSpeedColumn()]
    columns = (TextColumn(text), BarColumn(bar_width=32), *amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        task = progress.add_task("work", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
