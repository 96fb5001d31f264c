"""Find, open, lock and read runs under the results folder."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError

from bench.errors import StoreError, did_you_mean, in_one_line
from bench.records import CaseScores, Job, JobKind, Outcome, R, Status, read_record
from bench.records.base import first_fault
from bench.records.store import layout
from bench.records.store.environments import environments_of_jobs, read_environment, with_recorded_memory
from bench.records.store.files import held, sha256_of
from bench.records.store.job_folders import JobFolders, job_folders
from bench.records.store.layout import LOCK, RunFolder
from bench.records.store.manifest import damage_of, damage_of_job, facts_in, manifest_damage, not_begun, recorded_sha256
from bench.records.store.shared import Shared
from bench.records.store.views import CaseView, Damage, JobView, Plan, PlannedCase, RunView


def utc_now() -> str:
    """Return the time as UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_run(results: Path, suite: str) -> RunFolder:
    """Create a run folder named by the time, after every run that is there; raises `StoreError` where none can be.

    Where the clock was set back, or several begin in one second, it is named after the newest with a number, so that
    the newest by name is the newest there is.
    """
    stamp, number = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S"), 1
    newest = max((_place(run) for run in runs(results)), default=("", 0))
    if newest[0] >= stamp:
        stamp, number = newest[0], newest[1] + 1
    while True:
        path = results / suite / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir(parents=True)
            return RunFolder(path)
        except FileExistsError:
            if not path.is_dir():
                raise
            number += 1
        except FileNotFoundError:
            raise StoreError(f"no folder can be made at {path}; give another folder with --results") from None


def _place(run: RunFolder) -> tuple[str, int]:
    """Time stamp and number of a run, in whose order runs were made."""
    named = re.fullmatch(r"(.*T\d\d-\d\d-\d\d)-(\d{1,9})", run.name)
    return (named[1], int(named[2])) if named else (run.name, 1)


def runs(results: Path, suite: str | None = None) -> list[RunFolder]:
    """Return all runs, oldest first, of one suite or of all."""
    found = results.glob(f"{'*' if suite is None else glob.escape(suite)}/*/{layout.PLAN}")
    return sorted((RunFolder(file.parent) for file in found), key=lambda run: (*_place(run), run.suite))


def newest_run(results: Path, suite: str | None = None) -> RunFolder:
    """Return the newest run; raises `StoreError` if there is none."""
    found = runs(results, suite)
    if not found:
        names = sorted({run.suite for run in runs(results)})
        hint = did_you_mean(suite, names) if suite else ""
        what = f"of suite {suite!r} " if suite else ""
        raise StoreError(f"no run {what}in {results}/.{hint} Make one with: bench run suites/semantic.yaml")
    return found[-1]


def open_run(results: Path, name: str | None, suite: str | None = None) -> RunFolder:
    """Return a run by folder path, by name, or the newest; raises `StoreError` with the nearest name."""
    if name is None:
        return newest_run(results, suite)
    if (Path(name) / layout.PLAN).is_file():
        return RunFolder(Path(name))
    matching = [run for run in runs(results, suite) if name in (run.name, f"{run.suite}/{run.name}")]
    if not matching:
        known = [f"{run.suite}/{run.name}" for run in runs(results, suite)]
        listing = f" Runs there: {', '.join(known[-5:])}." if known else ""
        raise StoreError(f"no run {name!r} in {results}/.{did_you_mean(name, known)}{listing}")
    return matching[-1]


def is_run(results: Path, name: str) -> bool:
    """Return whether `open_run` would open a run by this name."""
    return (Path(name) / layout.PLAN).is_file() or any(name in (r.name, f"{r.suite}/{r.name}") for r in runs(results))


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Hold a run for writing; the lock goes when the process does, however it ends.

    The lock's file says who holds it, because a lock of another machine on a shared folder may not be seen here.

    Raises:
        StoreError: If another process holds it, or one of another machine did not let go of it.
    """
    busy = f"{run.path} is being written by another bench process; wait for it, or start a new run with --new"
    with held(run.path / LOCK, StoreError(busy)) as file:
        file.seek(0)
        holder = " ".join(file.read(1000).split())
        if holder and not holder.startswith(f"{_host()} "):
            raise StoreError(
                f"{run.path} is being written on another machine, or was when that bench was killed ({holder}). Wait "
                f"for it; if it no longer runs, remove the file {run.path / LOCK}"
            )
        file.seek(0)
        file.truncate()
        file.write(f"{_host()} process {os.getpid()} since {utc_now()}\n")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _host() -> str:
    return platform.node() or "localhost"


def _read(cls: type[R], path: Path) -> R | None:
    try:
        return read_record(cls, path)
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged or from another version of the harness: {_brief(error)}") from None


def _brief(error: Exception) -> str:
    """Return the first complaint of pydantic's, or what the system says, in one line."""
    return first_fault(error) if isinstance(error, ValidationError) else in_one_line(error)


NEEDED: dict[JobKind, tuple[str, ...]] = {
    "predict": (f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}",),
    "time": (layout.SAMPLES,),
    "profile": (layout.PROFILE,),
    "throughput": (layout.THROUGHPUT,),
}
"""Files without which a job that ended well is worth nothing."""


def read_job(folder: Path) -> JobView | None:
    """Read a job folder; None if the job was never written, or its `job.json` cannot be read.

    A folder whose other files are damaged is a view that says so: it is shown, and never used.
    """
    try:
        job = _read(Job, folder / layout.JOB)
    except StoreError:
        return None
    if job is None:
        return None
    job = with_recorded_memory(folder, job)
    try:
        outcome = _read(Outcome, folder / layout.OUTCOME)
    except StoreError as error:
        return JobView(folder, job, None, str(error))
    if outcome is None:
        run = RunFolder(folder.parent.parent)
        lost = folder.parent.name == "jobs" and recorded_sha256(run, folder / layout.OUTCOME) is not None
        return JobView(folder, job, None, f"{layout.OUTCOME} is missing" if lost else None)
    return JobView(folder, job, outcome, _damage(folder, job, outcome))


def _damage(folder: Path, job: Job, outcome: Outcome) -> str | None:
    if folder.parent.name == "jobs":  # not those of `bench predict`, which belong to no run
        changed = damage_of_job(RunFolder(folder.parent.parent), folder)
        if changed is not None:
            return changed
    if outcome.status is not Status.OK:
        return None
    planned_for, done_on = job.key_parts.get("machine"), job.provenance.machine if job.provenance is not None else None
    if planned_for is not None and done_on not in (None, planned_for):
        return "it was measured on another machine than the one that its run was planned for"
    if (folder / layout.DAMAGED).is_file():
        return " ".join((folder / layout.DAMAGED).read_text(encoding="utf-8", errors="replace").split())
    missing = [name for name in NEEDED.get(job.kind, ()) if not (folder / name).is_file()]
    return f"{missing[0]} is missing" if missing else None


def find_job(run: RunFolder, kind: JobKind, key: str, folders: JobFolders | None = None) -> JobView | None:
    """Return the job with this key in a run, whichever case it was written for; one without damage if there is one.

    Args:
        folders: Folders of the run, from whoever holds its lock; looked for if left out.
    """
    views = [read_job(folder) for folder in (folders or job_folders(run)).of_key(kind, key)]
    found = [view for view in views if view is not None and view.job.key == key and view.job.kind == kind]
    return min(found, key=lambda view: view.damage is not None, default=None)


def find_trained(results: Path, key: str, own: JobFolders | None = None) -> JobView | None:
    """Return a finished training with this key in any run of any suite, newest first.

    Args:
        own: Folders of a run that is written here.
    """
    for run in reversed(runs(results)):
        view = find_job(run, "train", key, own if own is not None and own.run.path == run.path else None)
        if view is not None and view.ok:
            return view
    return None


def previous_job(
    run: RunFolder, kind: JobKind, case_id: str, replicate: int, not_key: str, folders: JobFolders | None = None
) -> JobView | None:
    """Return the latest finished job of a case under another key: what a stale job used to be."""
    views = [read_job(folder) for folder in (folders or job_folders(run)).of_case(kind, case_id, replicate)]
    old = [v for v in views if v and v.outcome and v.job.case_id == case_id and v.job.key != not_key]
    return max(old, key=lambda v: v.outcome.started_at if v.outcome else "", default=None)


def set_aside(folder: Path) -> None:
    """Keep a job folder that is about to be done again, under `superseded/`."""
    shelf = folder.parent.parent / "superseded"
    shelf.mkdir(exist_ok=True)
    number = sum(1 for _ in shelf.glob(f"{folder.name}.*"))
    shutil.move(folder, shelf / f"{folder.name}.{number}")


def is_final(outcome: Outcome | None) -> bool:
    """Return whether a job need not be done again: it worked, it cannot work here, or its search ended it."""
    return outcome is not None and outcome.status in (Status.OK, Status.UNSUPPORTED, Status.PRUNED)


def read_plan(run: RunFolder) -> Plan:
    """Return the plan of a run; raises `StoreError` if there is none."""
    plan = _read(Plan, run.path / layout.PLAN)
    if plan is None:
        raise StoreError(f"{run.path} holds no {layout.PLAN}; it is not a run folder")
    return plan


def read_run(run: RunFolder, results: Path | None = None) -> RunView:
    """Read a run as far as it got.

    Args:
        results: Folder in which trainings of other runs may lie; the folder above the suite's if left out.
    """
    plan = read_plan(run)
    shared = results if results is not None else run.path.parent.parent
    environment, reason = read_environment(run, run.path / layout.ENVIRONMENT)
    files = {
        layout.PLAN: damage_of(run, run.path / layout.PLAN),
        layout.ENVIRONMENT: reason,
        layout.MANIFEST: manifest_damage(run),
    }
    cases = tuple(read_cases(run, plan, shared))
    environments, damages = environments_of_jobs(cases)
    of_run = [Damage("", "environment", 0, name, why) for name, why in files.items() if why is not None]
    searches = ((name, damage_of(run, run.path / name)) for name in facts_in(run, run.path / layout.TUNING))
    of_run += [Damage("", "search", 0, n, f"{why}; without it the search begins anew") for n, why in searches if why]
    return RunView(
        folder=run,
        plan=plan,
        environment=environment,
        cases=cases,
        damages=(*of_run, *damages),
        environments=environments,
    )


def read_cases(run: RunFolder, plan: Plan, results: Path) -> Iterator[CaseView]:
    """Yield the cases of a run in the order of its plan, read one after the other."""
    folders, shared = JobFolders(run), Shared(plan)
    yield from (_read_case(run, planned, results, folders, shared) for planned in plan.cases)


def _read_case(run: RunFolder, planned: PlannedCase, results: Path, folders: JobFolders, shared: Shared) -> CaseView:
    case_id = planned.case.id
    named: list[tuple[JobKind, int, str | None]] = [
        ("train", 0, planned.train_key),
        ("export", 0, planned.export_key),
        ("predict", 0, planned.predict_key),
        *(("time", number, key) for number, key in enumerate(planned.time_keys)),
        ("profile", 0, planned.profile_key),
        ("throughput", 0, planned.throughput_key),
    ]
    views = {(kind, n): None if key is None else find_job(run, kind, key, folders) for kind, n, key in named}
    if planned.train_key is not None and views["train", 0] is None:
        views["train", 0] = find_trained(results, planned.train_key)
    scored = read_scores(run, case_id)
    shared.case(planned, views.values(), scored.scores)
    predict = views["predict", 0]
    current = scored.scores is not None and (
        scored.scores.predict_key == planned.predict_key
        if predict is None
        else predict.damage is None and is_of(scored.scores, planned.predict_key, predict.folder / layout.PREDICTIONS)
    )
    damages = [
        unreadable_job(run, case_id, kind, replicate, key, folders.of_key(kind, key))
        for kind, replicate, key in named
        if key is not None and views[kind, replicate] is None
    ]
    return CaseView(
        case=planned.case,
        task=planned.task,
        train=views["train", 0],
        export=views["export", 0],
        predict=predict,
        times=tuple(view for (kind, _), view in views.items() if kind == "time" and view is not None),
        profile=views["profile", 0],
        throughput=views["throughput", 0],
        scores=scored.scores if current else None,
        statistics=scored.statistics if current else None,
        damages=tuple(damage for damage in (*damages, scored.damage) if damage is not None),
    )


def is_of(scores: CaseScores, predict_key: str, predictions: Path) -> bool:
    """Return whether scores are those of these predictions."""
    index = predictions / layout.PREDICTION_INDEX
    same = not scores.predictions_sha256 or not index.is_file() or sha256_of(index) == scores.predictions_sha256
    return scores.predict_key == predict_key and same


def unreadable_job(
    run: RunFolder, case_id: str, kind: JobKind, replicate: int, key: str, named: list[Path]
) -> Damage | None:
    """Return which of the folders named like a job no longer says that it is one; None if one does, or none is."""
    if not named or any(_says(folder, kind, key) for folder in named):
        return None
    file = named[0] / layout.JOB
    if not_begun(run, named[0]):
        return None
    try:
        reason = "is missing" if _read(Job, file) is None else "belongs to another job than its folder"
    except StoreError as error:
        reason = str(error)
    return Damage(case_id, kind, replicate, file.relative_to(run.path).as_posix(), reason)


def _says(folder: Path, kind: JobKind, key: str) -> bool:
    """Return whether the record in a folder is that of a job."""
    try:
        job = _read(Job, folder / layout.JOB)
    except StoreError:
        return False
    return job is not None and (job.kind, job.key) == (kind, key)


@dataclass(frozen=True)
class StoredScores:
    """Scores of a case and the file they were computed from, as far as both can be trusted."""

    scores: CaseScores | None
    statistics: Path | None
    damage: Damage | None = None


def read_scores(run: RunFolder, case_id: str) -> StoredScores:
    """Read the scores of a case; those of another case, changed ones and damaged ones are not scores but a damage."""
    file, statistics = run.scores(case_id), run.statistics(case_id)
    if not file.is_file() and recorded_sha256(run, file) is None:
        file, statistics = run.earlier_scores(case_id), run.earlier_statistics(case_id)

    def damaged(path: Path, reason: str) -> Damage:
        return Damage(case_id, "score", 0, path.relative_to(run.path).as_posix(), reason)

    changed = damage_of(run, file)
    if changed is not None:
        return StoredScores(None, None, damaged(file, changed))
    try:
        scores = _read(CaseScores, file)
    except StoreError as error:
        return StoredScores(None, None, damaged(file, str(error)))
    if scores is None:
        return StoredScores(None, None)
    if scores.case_id != case_id:
        # Cases whose names are alike shared this file in earlier versions: it is the other's, and not damaged.
        mine = file == run.scores(case_id)
        return StoredScores(None, None, damaged(file, f"holds the scores of {scores.case_id!r}") if mine else None)
    if not statistics.is_file():
        return StoredScores(scores, None, damaged(statistics, "is missing: no comparison with this case"))
    if scores.statistics_sha256 and sha256_of(statistics) != scores.statistics_sha256:
        return StoredScores(scores, None, damaged(statistics, "is not what the scores were computed from"))
    return StoredScores(scores, statistics)
