"""A training: weights and their log, of training and validation images alone."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TextIO

from bench.adapter import TrainingData
from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.measure.interference import Watch
from bench.measure.phases import PHASES, during
from bench.records import Job, JobFacts
from bench.records.store import layout
from bench.records.store.files import opened_to_append
from bench.run.worker.images import LabelledSplit
from bench.run.worker.model import built, facts_of
from bench.run.worker.ranks import is_further_process
from bench.run.worker.training_log import TrainingLog


def _log(folder: Path) -> TextIO:
    if is_further_process():
        return Path(os.devnull).open("a", encoding="utf-8")
    return os.fdopen(opened_to_append(folder / layout.TRAINING_LOG), "a", encoding="utf-8")


def train_job(job: Job, folder: Path) -> JobFacts:
    """Train and leave weights; goes on from a checkpoint that an interrupted worker left."""
    if job.recipe is None:
        raise BenchError("a train job needs a recipe; its job.json has none")
    with during("data"):
        dataset = open_labelled(job.dataset)
    data = TrainingData(
        train=LabelledSplit(dataset, job.dataset.train, job),
        val=LabelledSplit(dataset, job.dataset.val, job),
        task=job.task,
    )
    adapter, load_s = built(job, folder)
    out = folder / layout.WEIGHTS
    out.mkdir(exist_ok=True)
    with _log(folder) as file:
        log = TrainingLog(file, None if is_further_process() else folder)
        watch = Watch()
        result = adapter.train(data, job.recipe, out, log)
        interference = watch.seen()
        log.flush()
    PHASES.move(result.validation_s or 0.0, "other", "validate")
    PHASES.move(result.train_s, "other", "train")  # more than that, where it was resumed, is of an earlier process
    return facts_of(
        adapter,
        result.weights,
        load_s=load_s,
        weights_file=os.path.relpath(result.weights, folder),
        trained_steps=result.steps,
        trained_images=result.images,
        trained_s=result.train_s,
        trained_data_wait_s=result.data_wait_s,
        not_honoured=result.not_honoured,
        interference=interference,
        # A loss that is no number is no fact; JSON could not hold it either.
        self_reported={name: value for name, value in result.self_reported.items() if math.isfinite(value)},
    )
