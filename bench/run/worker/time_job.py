"""A timing by the protocol: raw samples, audited predictions and telemetry."""

from __future__ import annotations

from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.measure.memory import reset_peak_rss
from bench.measure.phases import during
from bench.measure.stages import spare_the_collector
from bench.measure.telemetry import Telemetry
from bench.measure.timed_images import ImageSource
from bench.measure.timing import Timed, time_model
from bench.records import Job, JobFacts
from bench.records.predictions import save_prediction
from bench.records.store import layout
from bench.records.store.prediction_index import write_index
from bench.run.worker.images import Images, test_ids
from bench.run.worker.model import built, facts_of, weights_of


def time_job(job: Job, folder: Path) -> JobFacts:
    """Time the model by the protocol; leaves raw samples, audited predictions and telemetry."""
    if job.measurement is None:
        raise BenchError("a time job needs a measurement; its job.json has none")
    with during("data"):
        dataset = open_labelled(job.dataset)
        images: ImageSource = Images(dataset, test_ids(job, dataset), job.model.prompt)
    reset_peak_rss()
    with Telemetry(job.target.device) as telemetry:
        adapter, load_s = built(job, folder)
        spare_the_collector()
        adapter.reset_peak_device_bytes()
        timed = time_model(adapter, images, job, telemetry)
    with during("store"):
        _store(timed, folder)
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
        peak_device_bytes=timed.peak_device_bytes,
    )


def _store(timed: Timed, folder: Path) -> None:
    """Write the audited predictions with their hashes, and the samples."""
    audit = folder / layout.AUDIT
    for image_id, prediction in timed.audited.items():
        save_prediction(prediction, audit, image_id)
    hashes = {image_id: prediction.content_hash() for image_id, prediction in timed.audited.items()}
    audit.mkdir(exist_ok=True)
    write_index(audit, hashes)
    timed.samples.save(folder / layout.SAMPLES)
