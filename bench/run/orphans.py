"""Processes that outlive their worker or their `bench`, found and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.run.worker.process import PARENT, is_gone

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): whoever loses its parent below this process becomes its child."""
RESULTS = "BENCH_RESULTS_FOLDER"
"""Variable of a worker with the results folder that it works for."""
LOOKS = 100
"""Processes that were ended are looked for this many times again, with a pause of 10 ms."""


@contextlib.contextmanager
def nobody_left_behind() -> Iterator[None]:
    """End whatever processes have become children of this one meanwhile, in sessions of their own too.

    A worker's children become ours when it ends. The caller starts no process but the worker meanwhile.
    """
    if sys.platform != "linux":
        yield
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _children()
    try:
        yield
    finally:
        for _ in range(LOOKS):
            left = _children() - before
            if not left:
                break
            for pid in left:
                _end(pid)
            time.sleep(0.01)


def end_orphans(results: Path) -> list[int]:
    """End processes that a `bench` left behind which has ended; returns their numbers.

    Workers, and whatever they start, carry the identity of their `bench` and its results folder in their environment.
    A process whose environment cannot be read, of another results folder, or of another namespace of processes, is
    left alone.

    Args:
        results: The folder whose runs are meant.
    """
    own = str(results.resolve())
    ended = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            said = (entry / "environ").read_bytes().split(b"\0")
            variables = dict(os.fsdecode(pair).partition("=")[::2] for pair in said)
            asked_by = variables.get(PARENT, "")
            if not asked_by or variables.get(RESULTS) != own:
                continue
            if int(entry.name) != os.getpid() and is_gone(asked_by):
                os.kill(int(entry.name), signal.SIGKILL)
                ended.append(int(entry.name))
    return ended


def results_of(folder: Path) -> Path:
    """Return the results folder of a job, `results/<suite>/<run>/jobs/<job>`."""
    return folder.resolve().parents[3]


def _children() -> set[int]:
    """Return processes whose parent this one is, those that have ended and were not waited for included."""
    found, own = set(), str(os.getpid())
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1] == own:
                found.add(int(file.parent.name))
    return found


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
