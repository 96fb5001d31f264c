"""The three kinds of job, inside a worker: train, predict, time."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from bench.adapter import Adapter, TrainingData, predict
from bench.datasets import Dataset
from bench.errors import BenchError, Unsupported
from bench.labels.dataset import open_labelled
from bench.measure.memory import peak_rss_bytes, reset_peak_rss
from bench.measure.outputs import checked
from bench.measure.telemetry import Telemetry
from bench.measure.timing import ImageSource, time_model
from bench.plugins import load_adapter
from bench.predictions import LabelMap, Prediction, PromptedMasks, RgbImage, save_prediction
from bench.prompts import PromptedImage, prompts_of
from bench.records import Job, JobFacts, PromptKind
from bench.run.environment_variables import in_effect
from bench.run.worker import is_further_process
from bench.store import layout
from bench.store.files import write_atomically

STEP_LINE_INTERVAL_S = 0.2
"""At most so often a training step is written to `training.jsonl`; the last one always is."""

PROGRESS_INTERVAL_S = 0.5


def do_job(job: Job, folder: Path) -> JobFacts:
    """Do what a job asks for; the random numbers that nothing else seeds come from its seed."""
    random.seed(job.seed)
    np.random.seed(job.seed % 2**32)  # frameworks and their augmentations draw from the global stream
    return {"train": train_job, "predict": predict_job, "time": time_job}[job.kind](job, folder)


class Images:
    """The images of a split without their truths: all that a predicting or timing adapter can reach.

    For a prompted model each image comes with its prompts, which are made from the truth; see
    `bench.prompts`.
    """

    def __init__(self, dataset: Dataset, ids: Sequence[str], prompt: PromptKind | None = None) -> None:
        self._image = dataset.image if prompt is None else partial(_prompted_image, dataset, prompt)
        self.ids = tuple(ids)

    def image(self, image_id: str) -> RgbImage:
        """The image, uint8, (H, W, 3)."""
        return self._image(image_id)


def _prompted_image(dataset: Dataset, prompt: PromptKind, image_id: str) -> PromptedImage:
    objects = dataset.target(image_id).of("prompted")
    if not isinstance(objects, PromptedMasks):
        raise BenchError(
            f"image {image_id!r} has no instance truth to make {prompt} prompts from; use a data set with instances"
        )
    return PromptedImage(dataset.image(image_id), prompts_of(objects, prompt))


class LabelledSplit:
    """A split with its truths, for training."""

    def __init__(self, dataset: Dataset, split: str, job: Job) -> None:
        self._dataset, self._ids, self._kind = dataset, tuple(dataset.ids(split)), job.task.kind

    def __len__(self) -> int:
        """Number of images."""
        return len(self._ids)

    def image(self, index: int) -> RgbImage:
        """The image, uint8, (H, W, 3)."""
        return self._dataset.image(self._ids[index])

    def semantic(self, index: int) -> LabelMap:
        """Its class ids, uint8, (H, W)."""
        return self._dataset.target(self._ids[index]).semantic.labels

    def truth(self, index: int) -> Prediction:
        """Its truth in the form of the task."""
        truth = self._dataset.target(self._ids[index]).of(self._kind)
        if truth is None:
            raise BenchError(f"the data set has no {self._kind} truth for image {self._ids[index]!r}")
        return truth


class TrainingLog:
    """Writes `training.jsonl`, a line per event, at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._written_at = float("-inf")
        self._held: dict[str, Any] | None = None

    def planned(self, *, steps: int | None, seconds: float | None) -> None:
        """How long training will be."""
        self._write({"event": "planned", "steps": steps, "seconds": seconds})

    def step(self, *, step: int, images: int, train_s: float, loss: float, learning_rate: float) -> None:
        """An optimiser step; held back if the last line is fresh."""
        self._held = {
            "event": "step",
            "step": step,
            "images": images,
            "train_s": train_s,
            "loss": loss,
            "learning_rate": learning_rate,
        }
        if time.monotonic() - self._written_at >= STEP_LINE_INTERVAL_S:
            self.flush()

    def validated(self, *, step: int, images: int, train_s: float, values: dict[str, float]) -> None:
        """A validation."""
        self.flush()
        self._write({"event": "validated", "step": step, "images": images, "train_s": train_s, "values": values})

    def flush(self) -> None:
        """Write the step that was held back, if any."""
        if self._held is not None:
            self._write(self._held)
            self._held = None
            self._written_at = time.monotonic()

    def _write(self, event: dict[str, Any]) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()


def _built(job: Job, folder: Path) -> tuple[Adapter, float]:
    """Load the adapter and build its model; returns it and the seconds that took."""
    cv2.setNumThreads(int(os.environ.get("OPENCV_FOR_THREADS_NUM", "1")))
    start = time.perf_counter()
    adapter = load_adapter(job.model.adapter)
    offered = getattr(adapter, "runtimes", ("eager",))
    if job.target.runtime not in offered:
        raise Unsupported(f"{job.model.label} has no runtime {job.target.runtime}; it has {', '.join(offered)}")
    adapter.build(job.model, job.task, job.target, _weights(job, folder))
    adapter.synchronize()
    return adapter, time.perf_counter() - start


def _weights(job: Job, folder: Path) -> Path | None:
    """File or folder of the weights a job runs with; None where there are none, or an address."""
    return (folder / job.weights).resolve() if job.weights and "://" not in job.weights else None


def _facts(adapter: Adapter, weights: Path | None, **more: Any) -> JobFacts:
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


def train_job(job: Job, folder: Path) -> JobFacts:
    """Train and leave weights; goes on from a checkpoint that an interrupted worker left."""
    if job.recipe is None:
        raise BenchError("a train job needs a recipe; its job.json has none")
    dataset = open_labelled(job.dataset)
    data = TrainingData(
        train=LabelledSplit(dataset, job.dataset.train, job),
        val=LabelledSplit(dataset, job.dataset.val, job),
        task=job.task,
    )
    adapter, load_s = _built(job, folder)
    out = folder / layout.WEIGHTS
    out.mkdir(exist_ok=True)
    log_path = Path(os.devnull) if is_further_process() else folder / layout.TRAINING_LOG
    with log_path.open("a", encoding="utf-8") as file:
        log = TrainingLog(file)
        result = adapter.train(data, job.recipe, out, log)
        log.flush()
    return _facts(
        adapter,
        result.weights,
        load_s=load_s,
        weights_file=os.path.relpath(result.weights, folder),
        trained_steps=result.steps,
        trained_images=result.images,
        trained_s=result.train_s,
        not_honoured=result.not_honoured,
        # A loss that is no number is no fact; JSON could not hold it either.
        self_reported={name: value for name, value in result.self_reported.items() if math.isfinite(value)},
    )


def _test_ids(job: Job, dataset: Dataset) -> tuple[str, ...]:
    ids = tuple(dataset.ids(job.dataset.test))
    return ids[: job.dataset.max_images] if job.dataset.max_images is not None else ids


def _batches(images: Images, size: int) -> Iterator[tuple[tuple[str, ...], list[RgbImage]]]:
    """Batches of images, the next one loading while the last one is predicted."""

    def load(ids: tuple[str, ...]) -> list[RgbImage]:
        return [images.image(image_id) for image_id in ids]

    groups = [images.ids[i : i + size] for i in range(0, len(images.ids), size)]
    with ThreadPoolExecutor(1) as loader:
        ahead = loader.submit(load, groups[0])
        for index, ids in enumerate(groups):
            batch = ahead.result()
            if index + 1 < len(groups):
                ahead = loader.submit(load, groups[index + 1])
            yield ids, batch


def predict_job(job: Job, folder: Path) -> JobFacts:
    """Predict every image of the scored split and store the predictions with their hashes."""
    dataset = open_labelled(job.dataset)
    images = Images(dataset, _test_ids(job, dataset), job.model.prompt)
    if not images.ids:
        raise BenchError(f"split {job.dataset.test!r} of data set {job.dataset.name!r} has no images")
    reset_peak_rss()
    adapter, load_s = _built(job, folder)
    adapter.reset_peak_device_bytes()
    out = folder / layout.PREDICTIONS
    out.mkdir(exist_ok=True)
    hashes: dict[str, str] = {}
    first_call_ms: float | None = None
    started, told_at = time.perf_counter(), 0.0
    with ThreadPoolExecutor(1) as writer:
        pending: list[Future[None]] = []
        for ids, batch in _batches(images, job.target.batch_size):
            call = time.perf_counter()
            predictions = predict(adapter, batch)
            if first_call_ms is None:
                first_call_ms = (time.perf_counter() - call) * 1e3
                started = time.perf_counter()
            for image_id, prediction in zip(ids, checked(predictions, batch, ids, job), strict=True):
                hashes[image_id] = prediction.content_hash()
                pending.append(writer.submit(save_prediction, prediction, out, image_id))
            pending = _settled(pending)
            if time.monotonic() - told_at > PROGRESS_INTERVAL_S:
                told_at = time.monotonic()
                write_progress(folder, len(hashes), len(images.ids))
        for future in pending:
            future.result()
    predict_s = time.perf_counter() - started
    write_atomically(out / layout.PREDICTION_INDEX, json.dumps(hashes, indent=0) + "\n")
    return _facts(
        adapter,
        _weights(job, folder),
        load_s=load_s,
        first_call_ms=first_call_ms,
        predicted_images=len(hashes),
        predict_s=predict_s,
    )


def _settled(pending: list[Future[None]]) -> list[Future[None]]:
    """Raise what went wrong in finished writes; keep the rest. Waits when the disk falls behind."""
    if len(pending) > 256:
        pending[0].result()
    for future in pending:
        if future.done():
            future.result()
    return [future for future in pending if not future.done()]


def write_progress(folder: Path, done: int, total: int) -> None:
    """Leave word of how far a job is, for the parent's progress bar."""
    temporary = folder / f".{layout.PROGRESS}.tmp"
    temporary.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")
    temporary.replace(folder / layout.PROGRESS)


def time_job(job: Job, folder: Path) -> JobFacts:
    """Time the model by the protocol; leaves raw samples, audited predictions and telemetry."""
    if job.measurement is None:
        raise BenchError("a time job needs a measurement; its job.json has none")
    dataset = open_labelled(job.dataset)
    images: ImageSource = Images(dataset, _test_ids(job, dataset), job.model.prompt)
    reset_peak_rss()
    with Telemetry(job.target.device) as telemetry:
        adapter, load_s = _built(job, folder)
        adapter.reset_peak_device_bytes()
        timed = time_model(adapter, images, job, telemetry)
    audit = folder / layout.AUDIT
    for image_id, prediction in timed.audited.items():
        save_prediction(prediction, audit, image_id)
    hashes = {image_id: prediction.content_hash() for image_id, prediction in timed.audited.items()}
    audit.mkdir(exist_ok=True)
    write_atomically(audit / layout.PREDICTION_INDEX, json.dumps(hashes, indent=0) + "\n")
    timed.samples.save(folder / layout.SAMPLES)
    telemetry.save(folder / layout.TELEMETRY)
    return _facts(
        adapter,
        _weights(job, folder),
        load_s=load_s,
        first_call_ms=float(timed.samples.warmup_ns[0]) / 1e6,
        time_to_steady_s=timed.time_to_steady_s,
        flags=(*timed.flags, *telemetry.flags()),
        invalid=timed.invalid,
    )
