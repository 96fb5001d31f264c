"""Waiting for what other processes do."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.names import harness_root

PATIENCE_S = 120.0
"""Nothing takes as long that happens at all, on a busy machine neither."""
AGAIN_S = 15.0
"""Seconds after which an interrupt that woke nobody is sent again."""
HOW = pytest.mark.parametrize(
    "how",
    [
        pytest.param(["--one-at-a-time", "--fresh-interpreters"], id="fresh", marks=pytest.mark.slow),
        pytest.param(["--one-at-a-time"], id="forked"),
    ],
)
"""One job after the other: with a fresh interpreter for each, and with workers forked from a pre-imported parent."""


def wait_for(happened: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return once it has happened; fails after `patience_s`."""
    end = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < end, f"did not happen within {patience_s} s"
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


def interrupt_until(ended: threading.Event) -> None:
    """Interrupt the main thread as Ctrl-C does; again after a while, since one just before a wait does not wake it."""
    while True:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if ended.wait(AGAIN_S):
            return


def start(suite: Path, results: Path, *flags: str) -> subprocess.Popen[str]:
    """`bench run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--results", str(results), *flags],
        cwd=harness_root(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
