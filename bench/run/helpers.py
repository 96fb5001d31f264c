"""Processes of this machine that do work of the command, such as scoring, of several cases at once."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import psutil

from bench.measure.devices import allowed_cores
from bench.run.worker.process import die_with_parent

MOST = 16
"""Most helper processes; more would wait for the disk."""
BYTES_EACH = 2 * 1024**3
"""Memory that must be free for each: it opens data sets and holds images."""


def processes_of_this_machine() -> ProcessPoolExecutor | None:
    """Return a process for each core that is allowed and has memory; None where that is one, which is here already."""
    number = min(len(allowed_cores()), MOST, int(psutil.virtual_memory().available // BYTES_EACH))
    if number < 2:
        return None
    return ProcessPoolExecutor(number, _WithoutScript(), initializer=_begin)


def end_processes() -> None:
    """End the processes of `processes_of_this_machine`, whatever they do; others of this process are none of ours."""
    for process in multiprocessing.active_children():
        if isinstance(process, _Process):
            process.terminate()


class _Process(SpawnProcess):
    """A process that begins with nothing; whoever calls from a script of his own would else have it run once more."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = script


class _WithoutScript(SpawnContext):
    """Starts processes anew: frameworks with threads, which the command runs, would not survive a fork."""

    Process = _Process


def _begin() -> None:
    """End with the command, which alone answers to Ctrl-C; take one core."""
    import cv2

    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
