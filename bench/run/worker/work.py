"""Does the work of a worker: one function per kind of job, in a file of its own."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.adapter import load_adapter
from bench.measure.hooks import remember_the_harness
from bench.measure.phases import during
from bench.records import Job, JobFacts, JobKind
from bench.run.worker.bands import band_notes, with_images_it_takes


def do_job(job: Job, folder: Path) -> JobFacts:
    """Do what a job asks for; the random numbers that nothing else seeds come from its seed."""
    remember_the_harness()
    random.seed(job.seed)
    np.random.seed(job.seed % 2**32)  # frameworks and their augmentations draw from the global stream
    # The other kinds say what they do more closely.
    with during(job.kind if job.kind in ("export", "profile", "throughput") else "other"):
        given = with_images_it_takes(job, load_adapter(job.model.adapter))
        facts = work_of(job.kind)(given, folder)
        return facts.model_copy(update={"notes": (*facts.notes, *band_notes(job, given))})


def work_of(kind: JobKind) -> Callable[[Job, Path], JobFacts]:
    """Return what does the jobs of a kind; what the other kinds need is not imported."""
    with during("import"):
        module = importlib.import_module(f"bench.run.worker.{kind}_job")
    work: Callable[[Job, Path], JobFacts] = getattr(module, f"{kind}_job")
    return work
