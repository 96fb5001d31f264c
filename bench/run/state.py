"""Tells what has been done of a plan, what has not, and why: the same answer for `check` and `run`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.records import Job
from bench.records.store import layout
from bench.records.store.files import sha256_of
from bench.records.store.job_folders import JobFolders
from bench.records.store.layout import RunFolder
from bench.records.store.runs import find_job, find_trained, is_final, previous_job
from bench.records.store.views import JobView
from bench.suite.jobs import why_stale

StateName = Literal["done", "failed", "interrupted", "stale", "missing"]


@dataclass(frozen=True)
class JobState:
    """State of one job.

    Attributes:
        name: `done` will be skipped; everything else will be done by the next run.
        why: Reason for the state: for `stale` what changed, for `failed` how it ended, for `done` where it lies if not
            here.
        view: The job folder, where there is one with this key.
    """

    name: StateName
    why: str
    view: JobView | None


def job_state(job: Job, run: RunFolder | None, results: Path, folders: JobFolders | None = None) -> JobState:
    """Tell the state of a job as it is planned in a run; None means that there is none yet.

    Whoever holds the run's lock gives its folders; they are looked for if left out.
    """
    view = find_job(run, job.kind, job.key, folders) if run is not None else None
    damage = _damage(view)
    gone = view is not None and view.outcome is None and not (view.folder / layout.OUTCOME).exists()
    if view is not None and damage is not None and not gone:
        return JobState("failed", f"damaged: {damage}", replace(view, damage=damage))
    if view is not None and view.outcome is not None and is_final(view.outcome):
        return JobState("done", "" if view.ok else f"{view.outcome.status.value}: {view.outcome.reason}", view)
    if job.kind == "train" and (trained := find_trained(results, job.key, folders)) and not _damage(trained):
        return JobState("done", f"trained in {trained.folder.parent.parent}", trained)
    if view is not None and view.outcome is not None:
        return JobState("failed", f"{view.outcome.status.value}: {view.outcome.reason}", view)
    if view is not None:
        return JobState("interrupted", "was under way when its run ended", view)
    same = (job.kind, job.case_id, job.replicate, job.key)
    old = previous_job(run, *same, folders) if run is not None else None
    if old is not None:
        return JobState("stale", why_stale(old.job.key_parts, job.key_parts), None)
    return JobState("missing", "", None)


def _damage(view: JobView | None) -> str | None:
    """Return what is wrong with the files of a job, the weights of a training included; None if nothing is."""
    if view is None or view.damage is not None or view.outcome is None or not view.ok:
        return None if view is None else view.damage
    facts = view.outcome.facts
    if view.job.kind != "train" or facts.weights_file is None or facts.weights_sha256 is None:
        return None
    weights = view.folder / facts.weights_file
    if not weights.exists():
        return f"{facts.weights_file} is missing"
    same = sha256_of(weights) == facts.weights_sha256
    return None if same else f"{facts.weights_file} is not what the training wrote (its SHA-256 differs)"
