"""Predictions in files are read without a worker: they have no framework, and no model is run."""

from __future__ import annotations

import time
from pathlib import Path

from bench.records.compiled import give_back_freed_memory
from bench.run.process import ProcessEnd, WorkerStopper, kernel_oom_kills, process_end
from bench.run.worker.process import do_here
from bench.run.worker.progress import STOPPED


def read_here(folder: Path, stopper: WorkerStopper) -> ProcessEnd:
    """Do the job of predictions in files in this process, which has read them before, to check the suite.

    It runs no model and imports no framework, so that there is nothing to keep apart.
    """
    oom_before, started = kernel_oom_kills(), time.monotonic()
    token = STOPPED.set(lambda: stopper.pulled)
    try:
        do_here(folder)
    finally:
        STOPPED.reset(token)
    give_back_freed_memory()
    return process_end(0, timed_out=False, started=started, oom_before=oom_before)
