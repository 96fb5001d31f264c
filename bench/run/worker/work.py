"""What a worker does: one function per kind of job."""

from __future__ import annotations

import json
import math
import os
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.adapter import TrainingData, predict
from bench.data.labels.dataset import open_labelled
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.errors import BenchError
from bench.measure.interference import Watch
from bench.measure.memory import reset_peak_rss
from bench.measure.outputs import checked, refuse_overwritten
from bench.measure.telemetry import Telemetry
from bench.measure.timing import ImageSource, time_model
from bench.records import Job, JobFacts
from bench.records.predictions import Prediction, RgbImage, save_prediction
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.run.worker.images import Images, LabelledSplit, test_ids
from bench.run.worker.model import built, facts_of, weights_of
from bench.run.worker.prefetch import loaded_batches
from bench.run.worker.profile_job import profile_job
from bench.run.worker.progress import PROGRESS_INTERVAL_S, settled, write_progress
from bench.run.worker.ranks import is_further_process
from bench.run.worker.read_predictions import read_job
from bench.run.worker.throughput_job import throughput_job
from bench.run.worker.training_log import TrainingLog


def do_job(job: Job, folder: Path) -> JobFacts:
    """Do what a job asks for; the random numbers that nothing else seeds come from its seed."""
    random.seed(job.seed)
    np.random.seed(job.seed % 2**32)  # frameworks and their augmentations draw from the global stream
    work = {
        "train": train_job,
        "export": export_job,
        "predict": predict_job,
        "time": time_job,
        "profile": profile_job,
        "throughput": throughput_job,
    }
    return work[job.kind](job, folder)


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
    adapter, load_s = built(job, folder)
    out = folder / layout.WEIGHTS
    out.mkdir(exist_ok=True)
    log_path = Path(os.devnull) if is_further_process() else folder / layout.TRAINING_LOG
    with log_path.open("a", encoding="utf-8") as file:
        log = TrainingLog(file)
        watch = Watch()
        result = adapter.train(data, job.recipe, out, log)
        interference = watch.seen()
        log.flush()
    return facts_of(
        adapter,
        result.weights,
        load_s=load_s,
        weights_file=os.path.relpath(result.weights, folder),
        trained_steps=result.steps,
        trained_images=result.images,
        trained_s=result.train_s,
        not_honoured=result.not_honoured,
        interference=interference,
        # A loss that is no number is no fact; JSON could not hold it either.
        self_reported={name: value for name, value in result.self_reported.items() if math.isfinite(value)},
    )


def export_job(job: Job, folder: Path) -> JobFacts:
    """Build the model for a runtime that runs an exported one, which exports it into the cache of exports."""
    adapter, export_s = built(job, folder)
    return facts_of(adapter, weights_of(job, folder), export_s=export_s)


def predict_job(job: Job, folder: Path) -> JobFacts:
    """Predict every image of the scored split and store the predictions with their hashes."""
    if job.model.adapter == FROM_FILES:
        return read_job(job, folder)
    dataset = open_labelled(job.dataset)
    images = Images(dataset, test_ids(job, dataset), job.model.prompt)
    if not images.ids:
        raise BenchError(f"split {job.dataset.test!r} of data set {job.dataset.name!r} has no images")
    reset_peak_rss()
    adapter, load_s = built(job, folder)
    adapter.reset_peak_device_bytes()
    out = folder / layout.PREDICTIONS
    out.mkdir(exist_ok=True)
    hashes: dict[str, str] = {}
    earlier: list[Prediction] = []
    first_call_ms: float | None = None
    started, told_at = time.perf_counter(), 0.0

    def keep(ids: tuple[str, ...], batch: list[RgbImage], predictions: list[Prediction]) -> None:
        for image_id, prediction in zip(ids, checked(predictions, batch, ids, job), strict=True):
            hashes[image_id] = prediction.content_hash()
            save_prediction(prediction, out, image_id)

    with ThreadPoolExecutor(1) as writer:
        pending: list[Future[None]] = []
        for ids, batch in loaded_batches(images, job.target.batch_size):
            call = time.perf_counter()
            predictions = predict(adapter, batch)
            refuse_overwritten(earlier, predictions, batch, job)
            earlier = predictions
            if first_call_ms is None:
                first_call_ms = (time.perf_counter() - call) * 1e3
                started = time.perf_counter()
            pending = settled([*pending, writer.submit(keep, ids, batch, predictions)])
            if time.monotonic() - told_at > PROGRESS_INTERVAL_S:
                told_at = time.monotonic()
                write_progress(folder, len(hashes), len(images.ids))
        for future in pending:
            future.result()
    predict_s = time.perf_counter() - started
    write_atomically(out / layout.PREDICTION_INDEX, json.dumps(hashes, indent=0) + "\n")
    return facts_of(
        adapter,
        weights_of(job, folder),
        load_s=load_s,
        first_call_ms=first_call_ms,
        predicted_images=len(hashes),
        predict_s=predict_s,
    )


def time_job(job: Job, folder: Path) -> JobFacts:
    """Time the model by the protocol; leaves raw samples, audited predictions and telemetry."""
    if job.measurement is None:
        raise BenchError("a time job needs a measurement; its job.json has none")
    dataset = open_labelled(job.dataset)
    images: ImageSource = Images(dataset, test_ids(job, dataset), job.model.prompt)
    reset_peak_rss()
    with Telemetry(job.target.device) as telemetry:
        adapter, load_s = built(job, folder)
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
    return facts_of(
        adapter,
        weights_of(job, folder),
        load_s=load_s,
        first_call_ms=float(timed.samples.warmup_ns[0]) / 1e6,
        time_to_steady_s=timed.time_to_steady_s,
        flags=(*timed.flags, *telemetry.flags()),
        invalid=timed.invalid,
        interference=timed.interference,
    )
