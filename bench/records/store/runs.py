"""Find, open, lock and read runs under the results folder."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError

from bench.errors import StoreError, did_you_mean
from bench.records import CaseScores, Job, JobKind, Outcome, R, Status, read_record
from bench.records.store import layout
from bench.records.store.layout import RunFolder
from bench.records.store.views import CaseView, JobView, Plan, PlannedCase, RunView


def utc_now() -> str:
    """The time as UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_run(results: Path, suite: str) -> RunFolder:
    """Create a run folder named by the time; two runs in one second get different names."""
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S")
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        path = results / suite / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return RunFolder(path)
    raise StoreError(f"{results / suite} already holds 99 runs of this second; wait a moment and try again")


def runs(results: Path, suite: str | None = None) -> list[RunFolder]:
    """All runs, oldest first, of one suite or of all."""
    found = results.glob(f"{suite or '*'}/*/{layout.PLAN}")
    return [RunFolder(file.parent) for file in sorted(found, key=lambda f: (f.parent.name, f.parent.parent.name))]


def newest_run(results: Path, suite: str | None = None) -> RunFolder:
    """The newest run; raises `StoreError` if there is none."""
    found = runs(results, suite)
    if not found:
        names = sorted({run.suite for run in runs(results)})
        hint = did_you_mean(suite, names) if suite else ""
        what = f"of suite {suite!r} " if suite else ""
        raise StoreError(f"no run {what}in {results}/.{hint} Make one with: bench run suites/semantic.yaml")
    return found[-1]


def open_run(results: Path, name: str | None, suite: str | None = None) -> RunFolder:
    """A run by folder path, by name, or the newest; raises `StoreError` with the nearest name."""
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
    """Whether `open_run` would open a run by this name."""
    return (Path(name) / layout.PLAN).is_file() or any(name in (r.name, f"{r.suite}/{r.name}") for r in runs(results))


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Hold a run for writing; the lock goes when the process does, however it ends."""
    with (run.path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{run.path} is being written by another bench process; wait for it, or start another run with --new"
            ) from None
        yield


def _read(cls: type[R], path: Path) -> R | None:
    try:
        return read_record(cls, path)
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged or from another version of the harness: {error}") from None


def read_job(folder: Path) -> JobView | None:
    """Read a job folder; None if the job was never written."""
    job = _read(Job, folder / layout.JOB)
    return JobView(folder, job, _read(Outcome, folder / layout.OUTCOME)) if job is not None else None


def find_job(run: RunFolder, kind: JobKind, key: str) -> JobView | None:
    """The job with this key in a run, whichever case it was written for."""
    for folder in sorted(run.jobs.glob(f"{kind}-*-{key[:12]}")):
        view = read_job(folder)
        if view is not None and view.job.key == key:
            return view
    return None


def find_trained(results: Path, key: str) -> JobView | None:
    """A finished training with this key in any run of any suite, newest first."""
    for run in reversed(runs(results)):
        view = find_job(run, "train", key)
        if view is not None and view.ok:
            return view
    return None


def previous_job(run: RunFolder, kind: JobKind, case_id: str, replicate: int, not_key: str) -> JobView | None:
    """The latest finished job of a case under another key: what a stale job used to be."""
    pattern = f"{kind}-{layout.slug(case_id)}-r{replicate}-*"
    views = [read_job(folder) for folder in run.jobs.glob(pattern)]
    old = [v for v in views if v is not None and v.outcome is not None and v.job.key != not_key]
    return max(old, key=lambda v: v.outcome.started_at if v.outcome else "", default=None)


def set_aside(folder: Path) -> None:
    """Keep a job folder that is about to be done again, under `superseded/`."""
    shelf = folder.parent.parent / "superseded"
    shelf.mkdir(exist_ok=True)
    number = sum(1 for _ in shelf.glob(f"{folder.name}.*"))
    shutil.move(folder, shelf / f"{folder.name}.{number}")


def is_final(outcome: Outcome | None) -> bool:
    """Whether a job need not be done again: it worked, or it cannot work here."""
    return outcome is not None and outcome.status in (Status.OK, Status.UNSUPPORTED)


def read_plan(run: RunFolder) -> Plan:
    """The plan of a run; raises `StoreError` if there is none."""
    plan = _read(Plan, run.path / layout.PLAN)
    if plan is None:
        raise StoreError(f"{run.path} holds no {layout.PLAN}; it is not a run folder")
    return plan


def read_run(run: RunFolder, results: Path | None = None) -> RunView:
    """Read a run as far as it got.

    Args:
        run: Its folder.
        results: Where trainings of other runs may lie; the folder above the suite's if left out.
    """
    plan = read_plan(run)
    shared = results if results is not None else run.path.parent.parent
    environment = run.path / layout.ENVIRONMENT
    return RunView(
        folder=run,
        plan=plan,
        environment=json.loads(environment.read_text(encoding="utf-8")) if environment.is_file() else {},
        cases=tuple(_read_case(run, planned, shared) for planned in plan.cases),
    )


def _read_case(run: RunFolder, planned: PlannedCase, results: Path) -> CaseView:
    case_id = planned.case.id

    def found(kind: JobKind, key: str | None) -> JobView | None:
        return None if key is None else find_job(run, kind, key)

    times = [found("time", key) for key in planned.time_keys]
    train = None
    if planned.train_key is not None:
        train = find_job(run, "train", planned.train_key) or find_trained(results, planned.train_key)
    scores = _read(CaseScores, run.scores(case_id))
    current = scores is not None and scores.predict_key == planned.predict_key
    return CaseView(
        case=planned.case,
        task=planned.task,
        train=train,
        export=found("export", planned.export_key),
        predict=found("predict", planned.predict_key),
        times=tuple(view for view in times if view is not None),
        profile=found("profile", planned.profile_key),
        throughput=found("throughput", planned.throughput_key),
        scores=scores if current else None,
        statistics=run.statistics(case_id) if current and run.statistics(case_id).is_file() else None,
    )
