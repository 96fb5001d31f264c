"""Standard streams whose reader goes away: what is done, and the exit code, are the same without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = (
    "import sys; from bench.cli.streams import open_streams; open_streams(own_process=True)\n"
    "for _ in range(300): print('y' * 1000, file=sys.{stream})\n"
    "print('at the end', file=sys.{other}); sys.exit(3)"
)


def ended(**streams: object) -> tuple[int, str]:
    """Exit code of a process that writes 300 kB to the stream that is given, and what it wrote to the other one."""
    (name,) = streams
    other = {"stdout": "stderr", "stderr": "stdout"}[name]
    words = [sys.executable, "-c", CODE.format(stream=name, other=other)]
    done = subprocess.run(words, **streams, **{other: subprocess.PIPE}, text=True, check=False)
    return done.returncode, getattr(done, other)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_stops_nothing(stream):
    reads, writes = os.pipe()
    os.close(reads)
    try:
        assert ended(**{stream: writes}) == (3, "at the end\n")
    finally:
        os.close(writes)


def test_a_terminal_that_is_closed_stops_nothing():
    terminal, its = os.openpty()
    os.close(terminal)
    try:
        assert ended(stderr=its) == (3, "at the end\n")
    finally:
        os.close(its)


def test_what_finds_no_room_is_an_error_where_it_was_asked_for_and_else_dropped():
    with Path("/dev/full").open("w", encoding="ascii") as full:
        assert ended(stderr=full) == (3, "at the end\n")
        code, said = ended(stdout=full)
    assert code == 1
    assert "No space left on device" in said
