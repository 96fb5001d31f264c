"""A job's model, built; and what is reported of it, whatever the job does with it."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import Any

import cv2

from bench.adapter import Adapter
from bench.errors import Unsupported
from bench.measure.memory import peak_rss_bytes
from bench.plugins import load_adapter
from bench.records import Job, JobFacts
from bench.run.environment_variables import in_effect


def built(job: Job, folder: Path) -> tuple[Adapter, float]:
    """Load the adapter and build its model; returns it and the seconds that took."""
    cv2.setNumThreads(int(os.environ.get("OPENCV_FOR_THREADS_NUM", "1")))
    start = time.perf_counter()
    adapter = load_adapter(job.model.adapter)
    offered = getattr(adapter, "runtimes", ("eager",))
    if job.target.runtime not in offered:
        raise Unsupported(f"{job.model.label} has no runtime {job.target.runtime}; it has {', '.join(offered)}")
    adapter.build(job.model, job.task, job.target, weights_of(job, folder))
    adapter.synchronize()
    return adapter, time.perf_counter() - start


def weights_of(job: Job, folder: Path) -> Path | None:
    """File or folder of the weights a job runs with; None where there are none, or an address."""
    return (folder / job.weights).resolve() if job.weights and "://" not in job.weights else None


def facts_of(adapter: Adapter, weights: Path | None, **more: Any) -> JobFacts:
    """What the adapter says of the model it built, with the process's own facts; `more` replaces any of them."""
    described = {k: v for k, v in adapter.describe().items() if k in JobFacts.model_fields}
    threads = described.pop("threads", None)
    of_weights = {} if weights is None else {"weights_bytes": _size(weights), "weights_sha256": _sha256(weights)}
    fields: dict[str, Any] = {
        **described,
        **of_weights,
        "threads": {"opencv": cv2.getNumThreads(), **(threads if isinstance(threads, dict) else {})},
        "versions": {"python": platform.python_version(), **adapter.versions()},
        "fused_stages": tuple(adapter.fused_stages),
        "host_rss_peak_bytes": peak_rss_bytes(),
        "peak_device_bytes": adapter.peak_device_bytes(),
        "notes": (f"environment: {in_effect()}",),
        **more,
    }
    return JobFacts(**fields)


def _files(weights: Path) -> list[Path]:
    return [weights] if weights.is_file() else sorted(file for file in weights.rglob("*") if file.is_file())


def _size(weights: Path) -> int:
    return sum(file.stat().st_size for file in _files(weights))


def _sha256(weights: Path) -> str:
    """Hash of a weights file, or of all files of a weights folder in order of their names."""
    sha = hashlib.sha256()
    for path in _files(weights):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                sha.update(chunk)
    return sha.hexdigest()
