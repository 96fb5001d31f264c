"""An export: the model in the form that a runtime runs, in the cache of exports."""

from __future__ import annotations

from pathlib import Path

from bench.records import Job, JobFacts
from bench.run.worker.model import built, facts_of, weights_of


def export_job(job: Job, folder: Path) -> JobFacts:
    """Build the model for a runtime that runs an exported one, which exports it into the cache of exports."""
    adapter, export_s = built(job, folder)
    return facts_of(adapter, weights_of(job, folder), export_s=export_s)
