"""Does the work of a worker: one function per kind of job, in a file of its own."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from bench.adapter import load_adapter
from bench.measure.phases import during
from bench.records import Job, JobFacts
from bench.run.worker.bands import band_notes, with_images_it_takes
from bench.run.worker.export_job import export_job
from bench.run.worker.predict_job import predict_job
from bench.run.worker.profile_job import profile_job
from bench.run.worker.throughput_job import throughput_job
from bench.run.worker.time_job import time_job
from bench.run.worker.train_job import train_job


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
    # The other kinds say what they do more closely.
    with during(job.kind if job.kind in ("export", "profile", "throughput") else "other"):
        given = with_images_it_takes(job, load_adapter(job.model.adapter))
        facts = work[job.kind](given, folder)
        return facts.model_copy(update={"notes": (*facts.notes, *band_notes(job, given))})
