"""A job's model, built; and what is reported of it, whatever the job does with it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from bench.adapter import Adapter, load_adapter
from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError, Unsupported
from bench.measure.memory import peak_rss_bytes
from bench.measure.phases import during
from bench.records import Job, JobFacts
from bench.records.flag import Flag
from bench.records.predictions import RgbImage
from bench.records.store.files import files_of, sha256_of
from bench.run.worker import ranks
from bench.run.worker.confinement import confinement_in_words
from bench.run.worker.environment import in_effect
from bench.run.worker.memory_limit import limit_in_words

CALIBRATION_IMAGES = 32
"""Images of the training split from which int8 takes the ranges of its numbers."""


@during("build")
def built(job: Job, folder: Path) -> tuple[Adapter, float]:
    """Load the adapter and build its model; returns it and the seconds that took."""
    cv2.setNumThreads(int(os.environ.get("OPENCV_FOR_THREADS_NUM", "1")))
    start = time.perf_counter()
    adapter = load_adapter(job.model.adapter)
    if job.target.runtime not in adapter.runtimes:
        raise Unsupported(_lacks_runtime(job, adapter))
    _refuse_address(job, adapter)
    if job.target.precision == "int8":
        adapter.calibrate(calibration_images(job))
    adapter.training_follows = job.kind == "train"
    refuse_other_weights(job, weights_of(job, folder))
    adapter.build(job.model, job.task, job.target, weights_of(job, folder))
    adapter.synchronize()
    return adapter, time.perf_counter() - start


def _refuse_address(job: Job, adapter: Adapter) -> None:
    """Refuse weights at an address to an adapter that would pass over them and run with random ones."""
    if job.weights is not None and "://" in job.weights and not adapter.fetches_weights:
        raise BenchError(
            f"{job.model.label}: nothing is fetched from {job.weights!r} by adapter {job.model.adapter}; download the "
            "file yourself and set 'weights' to where it lies"
        )


def _lacks_runtime(job: Job, adapter: Adapter) -> str:
    because = f": {adapter.why_eager_alone}" if adapter.why_eager_alone is not None else ""
    return f"{job.model.label} has no runtime {job.target.runtime}{because}; it has {', '.join(adapter.runtimes)}"


def calibration_images(job: Job) -> list[RgbImage]:
    """Return the first training images, without ground truth; none where files are predicted."""
    if not job.dataset_fingerprint:
        return []
    spec = job.made_for or job.dataset
    dataset = open_labelled(spec)
    return [dataset.image(image_id) for image_id in tuple(dataset.ids(spec.train))[:CALIBRATION_IMAGES]]


def weights_of(job: Job, folder: Path) -> Path | None:
    """Return the file or folder of the weights a job runs with; None where there are none, or an address."""
    return (folder / job.weights).resolve() if job.weights and "://" not in job.weights else None


def refuse_other_weights(job: Job, weights: Path | None) -> None:
    """Refuse weights that are not those the job was planned with; raises `BenchError`."""
    if weights is None or job.weights_sha256 is None:
        return
    if not weights.exists():
        raise BenchError(f"{job.model.label}: its weights are not at {weights} any more; give them back, or train anew")
    if sha256_of(weights) != job.weights_sha256:
        raise BenchError(
            f"{job.model.label}: {weights} is not the file that this job was planned with (its SHA-256 differs from "
            f"{job.weights_sha256[:12]}…); put it back, or start the same command again to use it as it is now"
        )


def weights_bytes_of(adapter: Adapter, weights: Path | None) -> int | None:
    """Return the size of the weight files, or what the adapter says of its parameters where there are none."""
    if weights is not None:
        return sum(file.stat().st_size for file in files_of(weights))
    described = adapter.describe().get("weights_bytes")
    return described if isinstance(described, int) else None


def doubts_of_weights(adapter: Adapter) -> tuple[Flag, ...]:
    """Return what had to be decided to read weights, and whether images are fitted as they were in their training."""
    described = adapter.describe()
    read, contract = described.get("weights_read"), described.get("input_contract")
    remarks = read.get("remarks") if isinstance(read, dict) else None
    told = "; ".join(map(str, remarks)) if isinstance(remarks, list) else ""
    of_weights = (Flag(name="weights_read", seen=told),) if told else ()
    return (*of_weights, *_doubts_of_fit(contract if isinstance(contract, dict) else {}))


def _doubts_of_fit(contract: Mapping[str, Any]) -> tuple[Flag, ...]:
    """Return a flag where images are stretched and the weights were trained without, or the other way round."""
    fit, trained, size = (contract.get(name) for name in ("fit", "trained_fit", "size"))
    if size is None or trained is None or (fit == "stretch") == (trained == "stretch"):
        return ()
    seen = f"images are made {size} by fit: {fit}, and the weights were trained with fit: {trained}"
    return (
        Flag(name="fit_unlike_training", seen=seen, advice=f"say input: {{fit: {trained}}} in the model's options"),
    )


@during("store")
def facts_of(adapter: Adapter, weights: Path | None, **more: Any) -> JobFacts:
    """Return what the adapter says of the model it built, with the process's own facts; `more` replaces any of them."""
    described = {k: v for k, v in adapter.describe().items() if k in JobFacts.model_fields}
    threads = described.pop("threads", None)
    of_weights: dict[str, Any] = {}
    if weights is not None:
        of_weights = {"weights_bytes": weights_bytes_of(adapter, weights), "weights_sha256": sha256_of(weights)}
    fields: dict[str, Any] = {
        **described,
        **of_weights,
        "threads": {"opencv": cv2.getNumThreads(), **(threads if isinstance(threads, dict) else {})},
        "versions": {"python": platform.python_version(), **adapter.versions()},
        "fused_stages": tuple(adapter.fused_stages),
        "stages_overlap": adapter.stages_overlap,
        "host_rss_peak_bytes": peak_rss_bytes(),
        "peak_device_bytes": adapter.peak_device_bytes(),
        "notes": (
            f"environment: {in_effect()}",
            f"started: {ranks.STARTED}",
            f"host memory: {limit_in_words()}",
            f"writes: {confinement_in_words()}",
        ),
        **more,
    }
    return JobFacts(**fields)
