"""Finds what a user's results and caches hold that nothing needs any more, and removes it by a policy of ages.

Nothing is removed that a number of a run rests on: predictions, samples, scores, the weights that a training ended
with, and whole runs unless their age is given. What a cache loses is made or fetched anew when it is wanted.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.records.store.cache import cache_folder, exports_folder
from bench.records.store.files import sha256_of
from bench.records.store.layout import RunFolder
from bench.records.store.runs import locked, newest_run, read_job, runs
from bench.records.store.views import JobView

DAY_S = 86400.0


@dataclass(frozen=True)
class Policy:
    """The days since the last change from which leftovers and cached files may go, and runs; None keeps all runs."""

    days: float = 30.0
    run_days: float | None = None


@dataclass(frozen=True)
class Removable:
    """A file or folder that nothing needs: what it is in a word, its bytes, and its newest change, seconds since 1970.

    The run that it lies in, None outside of runs, is locked while it is removed.
    """

    kind: str
    path: Path
    size: int
    changed_s: float
    run: RunFolder | None = None


def removable(results: Path, policy: Policy, now: float | None = None) -> list[Removable]:
    """Return what may go by a policy `now`, seconds since 1970, in the order of kinds and paths; removes nothing."""
    at = time.time() if now is None else now
    jobs = [job for run in runs(results) for job in _jobs(run)]
    old_runs = [] if policy.run_days is None else _runs(results, jobs, at - policy.run_days * DAY_S)
    gone = {one.path for one in old_runs}
    found = [*_leftovers(results), *_exports(jobs), *_packages()]
    before = at - policy.days * DAY_S
    return [*old_runs, *(one for one in found if one.changed_s < before and not gone & set(one.path.parents))]


def remove(found: Iterable[Removable], tell: Callable[[Removable, str], None]) -> None:
    """Remove what was found; `tell` is given each with '' or the reason why it stays."""
    for one in found:
        try:
            if one.run is None:
                _delete(one.path)
            else:
                with locked(one.run):
                    _delete(one.path)
        except OSError as error:
            tell(one, error.strerror or str(error))
        except BenchError as error:
            tell(one, str(error))
        else:
            tell(one, "")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _found(kind: str, path: Path, run: RunFolder | None = None) -> Removable:
    states = [file.lstat() for file in (path, *path.rglob("*"))]
    size = sum(state.st_size for state in states)
    return Removable(kind, path, size, max(state.st_mtime for state in states), run)


def _jobs(run: RunFolder) -> list[JobView]:
    return [view for folder in sorted(run.jobs.glob("*")) if (view := read_job(folder)) is not None]


def _runs(results: Path, jobs: Iterable[JobView], before: float) -> list[Removable]:
    """Return old runs but the newest of each suite, and those whose weights a job of a run that stays was run with."""
    every = runs(results)
    newest = {newest_run(results, suite).path for suite in {run.suite for run in every}}
    found = [_found("run", run.path) for run in every if run.path not in newest]
    old = {one.path: one for one in found if one.changed_s < before}
    while needed := {place for job in jobs for place in old if _uses(job, place) and not _within(job, old)}:
        # A run that stays may keep another one.
        old = {path: one for path, one in old.items() if path not in needed}
    return list(old.values())


def _uses(job: JobView, run: Path) -> bool:
    weights = job.job.weights
    if weights is None or "://" in weights:
        return False
    return (job.folder / weights).resolve().is_relative_to(run.resolve()) and not job.folder.is_relative_to(run)


def _within(job: JobView, old: Iterable[Path]) -> bool:
    return any(job.folder.is_relative_to(path) for path in old)


def _leftovers(results: Path) -> Iterator[Removable]:
    """Yield jobs that were done again, what a finished training no longer needs, and what a kill left half-written."""
    for run in runs(results):
        for folder in sorted((run.path / "superseded").glob("*")):
            yield _found("job done again", folder, run)
        for job in _jobs(run):
            yield from (_found("checkpoint", path, run) for path in _checkpoints(job))
    for path in sorted(results.glob(".import-*")):
        yield _found("unfinished import", path)


def _checkpoints(job: JobView) -> list[Path]:
    """Return the checkpoints of a training that ended well: it is never resumed."""
    facts = job.outcome.facts if job.ok and job.outcome is not None else None
    if job.job.kind != "train" or facts is None or facts.weights_file is None:
        return []
    weights = job.folder / facts.weights_file
    if not weights.exists():
        return []
    return sorted(path for path in weights.parent.glob("checkpoint*") if path != weights)


def _exports(jobs: Iterable[JobView]) -> Iterator[Removable]:
    """Yield exported models in the user's cache that no job of these results ran."""
    used = {sha for job in jobs if job.outcome for sha in (job.outcome.facts.exported_files or {}).values()}
    for folder in sorted(exports_folder().glob("*")):
        model = folder / "model.onnx"
        if not model.is_file() or sha256_of(model) not in used:
            yield _found("export", folder)


def _packages() -> Iterator[Removable]:
    """Yield package files that weights or images were taken from."""
    for folder in sorted((cache_folder() / "packages").glob("*")):
        yield _found("package file", folder)
