"""Sets what a worker's environment must say before its interpreter starts.

Thread pools and the C library's allocator read their settings once, at start-up, so they cannot be
set from inside. Everything set here is part of a timing job's content key and of its record.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.adapter import ADAPTERS_VARIABLE
from bench.measure.devices import allowed_cores
from bench.measure.gpus import VISIBLE
from bench.records import Job, Recipe, Target
from bench.records.names import harness_root, python_path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


def worker_environment(target: Target, recipe: Recipe | None, cores: int | None = None) -> dict[str, str]:
    """Variables that are set on top of the parent's for one worker.

    * Threads: every library gets the number the target (or, for training, the recipe) asks for,
      or one per core: `cores`, else all that are allowed.
    * `OMP_WAIT_POLICY=passive`: idle OpenMP threads sleep instead of spinning. On an idle machine spinning
      can be faster (a small U-Net on two cores: 10 ms against 16 ms), but beside a single busy process its
      barriers wait for a thread that is not running: the same network took 784 ms spinning and 19 ms
      sleeping. Whoever compares with a framework's own defaults must know that this is set; it is the same
      for every contender, and one thread is not affected.
    * `MALLOC_*`: keep freed memory in the process; otherwise each large tensor is mapped and
      faulted in anew on every call, which is 10 to 20 % of a small network's time on a CPU.
    * `CUDA_DEVICE_ORDER`: number devices as the driver's tools do.
    * `PYTHONHASHSEED`: the same iteration order of sets in every run.
    """
    asked = recipe.threads if recipe is not None else target.threads
    threads = str(asked if asked is not None else cores or len(allowed_cores()))
    return {
        **dict.fromkeys(THREAD_VARIABLES, threads),
        "OMP_WAIT_POLICY": "passive",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(8 * 1024**3),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }


def inherited_environment(job: Job) -> dict[str, str]:
    """Return the parent's environment with what must be set before the worker of a job starts."""
    inherited = {**os.environ, "PYTHONPATH": python_path()}
    outside = Path(job.adapters_root)
    if outside != harness_root() / "adapters":
        inherited[ADAPTERS_VARIABLE] = str(outside)
    if job.gpus is not None:
        inherited[VISIBLE] = job.gpus
    pinned = None if job.cpu_affinity is None else len(job.cpu_affinity)
    return {**inherited, **worker_environment(job.target, job.recipe, pinned)}


def in_effect() -> str:
    """Return what `worker_environment` sets, as this process has it: `NAME=value …`, for the record."""
    names = worker_environment(Target(), None)
    return " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
