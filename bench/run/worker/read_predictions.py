"""The job of a model whose predictions are files: read them, check them, and store them like any other's."""

from __future__ import annotations

import platform
import time
from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.predictions.coco import CocoResults
from bench.data.predictions.matching import NAMED
from bench.data.predictions.reading import open_predictions, probabilities_of
from bench.errors import BenchError
from bench.records import Job, JobFacts
from bench.records.predictions import check_prediction, save_prediction
from bench.records.probabilities import QUANTISATION_ERROR
from bench.records.run_kernels import read_many
from bench.records.store import layout
from bench.records.store.prediction_index import write_index
from bench.run.worker.images import test_ids
from bench.run.worker.kept_probabilities import KeptProbabilities
from bench.run.worker.progress import PROGRESS_INTERVAL_S, write_progress


def read_job(job: Job, folder: Path) -> JobFacts:
    """Store the predictions of every image of the scored split with their hashes.

    Raises:
        BenchError: If some cannot be used, with the first of them in full and the number of all.
    """
    dataset = open_labelled(job.dataset)
    ids = test_ids(job, dataset)
    reader = open_predictions(job.model, job.dataset, dataset)
    if isinstance(reader, CocoResults):
        read_many(len(ids))
    out = folder / layout.PREDICTIONS
    out.mkdir(exist_ok=True)
    hashes: dict[str, str] = {}
    kept = KeptProbabilities(job, folder / layout.PROBABILITIES) if job.keep else None
    faults: list[str] = []
    started, told_at = time.perf_counter(), 0.0
    for image_id in ids:
        size = dataset.size(image_id)
        try:
            prediction = check_prediction(
                reader.read(image_id, size),
                kind=job.task.kind,
                num_classes=len(job.task.classes),
                size=size,
                image_id=image_id,
                model=job.model.label,
                encoded=isinstance(reader, CocoResults),
            )
            if kept is not None:
                kept.keep_one(image_id, probabilities_of(reader, image_id, size))
        except BenchError as error:
            faults.append(str(error))
            continue
        hashes[image_id] = prediction.content_hash()
        save_prediction(prediction, out, image_id)
        if time.monotonic() - told_at > PROGRESS_INTERVAL_S:
            told_at = time.monotonic()
            write_progress(folder, len(hashes), len(ids))
    if faults:
        raise BenchError(_describe(faults, len(ids)))
    if kept is not None:
        kept.close()
    write_index(out, hashes)
    return JobFacts(
        predicted_images=len(hashes),
        predict_s=time.perf_counter() - started,
        versions={"python": platform.python_version()},
        kept_bytes=None if kept is None else kept.bytes,
        quantisation_error=None if kept is None else QUANTISATION_ERROR,
        flags=tuple(reader.flags()),
    )


def _describe(faults: list[str], images: int) -> str:
    """Return what is wrong, the first few in full."""
    if len(faults) == 1 and images == 1:
        return faults[0]
    more = f" … and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    shown = ". ".join(text.rstrip(".") for text in faults[:NAMED])
    return f"{len(faults)} of {images} predictions cannot be scored. {shown}.{more}"
