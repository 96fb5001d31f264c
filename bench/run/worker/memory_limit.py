"""A limit of host memory for one worker, so that a model cannot take the machine, and other workers, down."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

from bench.measure.devices import kernel_bytes
from bench.measure.out_of_memory import free_host_bytes
from bench.records import Job

SHARE = "BENCH_MEMORY_SHARE"
"""Variable with the share of the available memory that a worker may take; 0 sets no limit."""
DEFAULT_SHARE = 0.9
FIRST_TO_GO = 500
"""`oom_score_adj` of a worker: where memory runs out all the same, the kernel ends it before `bench` (proc(5))."""


def limit_memory(job: Job) -> int | None:
    """Limit what this process may still take of the memory that is available now; returns the limit, bytes, or None.

    `RLIMIT_DATA` counts private writable memory alone (getrlimit(2), Linux 4.7), so that mapped weights and libraries
    are free. Drivers of GPUs reserve addresses far beyond what they use: a job on a device gets no limit.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
    devices = {job.target.device, *([job.recipe.device] if job.recipe is not None else [])}
    share, free = _share(), free_host_bytes()
    held = kernel_bytes("VmData")  # private writable memory so far: what a fork brings along is not taken anew
    if devices != {"cpu"} or not share or free is None or held is None:
        return None
    limit = held + int(share * free)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit


def limit_in_words() -> str:
    """Return the limit of this process, for its record."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft / 1024**3:.1f} GiB (RLIMIT_DATA)"


def _share() -> float:
    try:
        return min(max(float(os.environ.get(SHARE, DEFAULT_SHARE)), 0.0), 1.0)
    except ValueError:
        return DEFAULT_SHARE
