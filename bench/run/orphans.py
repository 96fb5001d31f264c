"""Processes that outlive their worker or their `bench`, found and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.run.worker.process import PARENT, is_gone

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): whoever loses its parent below this process becomes its child."""
RESULTS = "BENCH_RESULTS_FOLDER"
"""Variable of a worker with the results folder that it works for."""
LOOKS = 100
"""Processes that were ended are looked for this many times again, with a pause of 10 ms."""


class LeftBehind:
    """State which session's processes are ended when their worker has: the number of the worker's process."""

    def __init__(self) -> None:
        self.session: int | None = None


class _Family:
    """The children of this process: which it has started itself, and how many workers are at work now."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ours: set[int] = set()
        self.before: set[int] = set()
        self.workers = 0


_FAMILY = _Family()


def start_ours(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own that is known to be no orphan; options are those of `Popen`."""
    with _FAMILY.lock:  # nobody looks for orphans between its start and its name
        process = subprocess.Popen(command, start_new_session=True, **options)
        _FAMILY.ours.add(process.pid)
    return process


@contextlib.contextmanager
def nobody_left_behind() -> Iterator[LeftBehind]:
    """End whatever processes a worker has left to this one, in sessions of their own too.

    A worker's children become ours when it ends. Left alone are processes of our own session, those of `start_ours`,
    and those that were there before the first worker. While several workers are at work, those of whom nobody can tell
    which worker left them are ended with the last.

    Yields:
        What gets the worker's number once it is started.
    """
    left = LeftBehind()
    if sys.platform != "linux":
        yield left
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with _FAMILY.lock:
        if _FAMILY.workers == 0:
            _FAMILY.before = set(_children())
        _FAMILY.workers += 1
    try:
        yield left
    finally:
        with _FAMILY.lock:
            _FAMILY.workers -= 1
        for _ in range(LOOKS):
            if not _end_left_behind(left):
                break
            time.sleep(0.01)
        with _FAMILY.lock:
            _FAMILY.ours.discard(left.session or 0)


def _end_left_behind(left: LeftBehind) -> bool:
    """End what a worker left behind; returns whether there was anything."""
    with _FAMILY.lock:
        alone = _FAMILY.workers == 0
        own_session = os.getsid(0)
        found = [
            pid
            for pid, session in _children().items()
            if session != own_session
            and pid not in _FAMILY.ours
            and pid not in _FAMILY.before
            and (alone or session == left.session)
        ]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return bool(found)


def end_orphans(results: Path) -> list[int]:
    """End processes that a `bench` of a results folder left behind which has ended; returns their numbers.

    Workers, and whatever they start, carry the identity of their `bench` and its results folder in their environment.
    A process whose environment cannot be read, of another results folder, or of another namespace of processes, is
    left alone.
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
    """Return the results folder of a job, `results/<suite>/<run>/jobs/<job>`; other folders are not so deep."""
    above = folder.absolute().parents  # a link in the place of `jobs` leads elsewhere
    return above[min(3, len(above) - 1)].resolve()


def _children() -> dict[int, int]:
    """Return process -> session of this one's children, ended ones that were not waited for included."""
    found, own = {}, str(os.getpid()).encode()
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - around each job, so without objects
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            _, parent, _, session = file.read().rpartition(b")")[2].split(None, 4)[:4]
            if parent == own:
                found[int(name)] = int(session)
    return found
