"""Predictions of every scored image, stored with their hashes; nothing is timed."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.measure.memory import reset_peak_rss
from bench.measure.outputs import checked, refuse_overwritten
from bench.measure.phases import during
from bench.measure.unchanged import InputWatch
from bench.records import Job, JobFacts
from bench.records.flag import Flag
from bench.records.predictions import Instances, Prediction, RgbImage, save_prediction
from bench.records.store import layout
from bench.records.store.prediction_index import write_index
from bench.run.worker.images import Images, test_ids
from bench.run.worker.kept_probabilities import KeptProbabilities, Probabilities, predicted, refuse_other_tasks
from bench.run.worker.model import built, doubts_of_weights, facts_of, weights_of
from bench.run.worker.prefetch import loaded_batches
from bench.run.worker.progress import PROGRESS_INTERVAL_S, settled, write_progress
from bench.run.worker.read_predictions import read_job


def predict_job(job: Job, folder: Path) -> JobFacts:
    """Predict every image of the scored split; store predictions, and the probabilities that are kept, with hashes."""
    refuse_other_tasks(job)
    if job.model.adapter == FROM_FILES:
        return read_job(job, folder)
    dataset = open_labelled(job.dataset)
    images = Images(dataset, test_ids(job, dataset), job.model.prompt)
    reset_peak_rss()
    adapter, load_s = built(job, folder)
    adapter.reset_peak_device_bytes()
    out = folder / layout.PREDICTIONS
    out.mkdir(exist_ok=True)
    hashes: dict[str, str] = {}
    kept = KeptProbabilities(job, folder / layout.PROBABILITIES) if job.keep else None
    earlier: list[Prediction] = []
    first_call_ms: float | None = None
    doubts: tuple[Flag, ...] = ()
    started, told_at = time.perf_counter(), 0.0

    def keep(ids: tuple[str, ...], batch: list[RgbImage], predictions: list[Prediction], sure: Probabilities) -> None:
        for image_id, found in zip(ids, checked(predictions, batch, ids, job), strict=True):
            prediction = found.encoded() if isinstance(found, Instances) else found  # once, for hash and file
            hashes[image_id] = prediction.content_hash()
            save_prediction(prediction, out, image_id)
        if kept is not None:
            kept.keep(ids, batch, sure)

    with during("predict"), ThreadPoolExecutor(1) as writer:
        pending: list[Future[None]] = []
        for ids, batch in loaded_batches(images, job.target.batch_size):
            inputs = InputWatch(batch, ids, job.model.label)
            call = time.perf_counter()
            predictions, sure = predicted(adapter, batch, job)
            refuse_overwritten(earlier, predictions, batch, job)
            earlier = predictions
            if first_call_ms is None:
                first_call_ms = (time.perf_counter() - call) * 1e3
                doubts = adapter.doubts(batch)
                started = time.perf_counter()
            inputs.check()
            pending = settled([*pending, writer.submit(keep, ids, batch, predictions, sure)])
            if time.monotonic() - told_at > PROGRESS_INTERVAL_S:
                told_at = time.monotonic()
                write_progress(folder, len(hashes), len(images.ids))
        for future in pending:
            future.result()
    predict_s = time.perf_counter() - started
    write_index(out, hashes)
    return facts_of(
        adapter,
        weights_of(job, folder),
        load_s=load_s,
        first_call_ms=first_call_ms,
        predicted_images=len(hashes),
        predict_s=predict_s,
        flags=(*doubts, *doubts_of_weights(adapter)),
        **({} if kept is None else kept.finished(adapter, folder)),
    )
