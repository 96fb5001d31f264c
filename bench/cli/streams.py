"""Standard streams that lead somewhere, take any text, and do not stop a command whose reader has gone away."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Unwatched(io.FileIO):
    """A stream that drops what is written once its reader has gone away: a run of hours goes on without it."""

    def __init__(self, number: int, name: str, *, whatever_happens: bool) -> None:
        """Take a descriptor, which stays open; what a disk refuses is an error unless told otherwise."""
        super().__init__(number, "w", closefd=False)
        self.name = name
        self._whatever_happens = whatever_happens

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EPIPE and not self._whatever_happens:
                raise
            _lead_nowhere(self.fileno())
            return memoryview(content).nbytes


def open_streams(*, own_process: bool) -> None:
    """Make standard streams usable, whatever the caller has left of them.

    Of one that was closed the next file would take the place, and what is printed would go there; a text that the
    encoding of another lacks is written out.

    Args:
        own_process: Whether the streams are ours alone, so that they may be replaced by `_Unwatched`.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if own_process and type(stream) is io.TextIOWrapper and stream.fileno() == number:
            setattr(sys, name, _unwatched(stream, number))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unwatched(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    """Return a stream like another one, which outlives its reader."""
    stream.flush()
    raw = _Unwatched(number, stream.name, whatever_happens=number == 2 or stream.isatty())
    return io.TextIOWrapper(
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def forget_output() -> None:
    """Keep the interpreter from complaining at its end of what could not be printed, if something could not."""
    try:
        sys.stdout.flush()
    except OSError:
        _lead_nowhere(sys.stdout.fileno())


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
