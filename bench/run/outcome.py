"""Decides how a job ended: by the worker's own word, or by what its end tells."""

from __future__ import annotations

from pathlib import Path

from bench.measure.out_of_memory import HOST_SAYS
from bench.records import Flag, Job, Outcome, Status
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_job
from bench.records.store.views import JobView
from bench.run.process import ProcessEnd
from bench.run.worker.process import EXIT_GRACE_S

LOG_LINES = 12
"""This says how many lines of the worker's log the reason quotes of a crash that reported nothing."""


def settle(folder: Path, end: ProcessEnd, *, started_at: str, timeout_s: float, left: JobView | None = None) -> Outcome:
    """Return the outcome of a job whose worker has ended, and make sure it is on disk; times are UTC, ISO 8601.

    A worker that could write `outcome.json` has said how it ended; its record is completed with
    the wall time of the whole process. Anything else is told from the process's end.
    """
    view = left or read_job(folder)
    told = view.outcome if view is not None else None  # one that cannot be read is none
    if told is not None:
        outcome = told.model_copy(update={"exit_code": end.exit_code, "wall_s": end.wall_s})
        if end.signal == "SIGALRM":
            slow = Flag(name="slow_exit", seen=f"it had to be ended {EXIT_GRACE_S} s after its outcome was written")
            return flagged(folder, outcome, slow)
    else:
        outcome = _from_end(end, folder, started_at=started_at, timeout_s=timeout_s)
    write_record(folder / layout.OUTCOME, outcome)
    return outcome


def settle_lost(job: Job, folder: Path, lost: str, *, started_at: str) -> Outcome:
    """Return the outcome of a job whose node went away each time, and make sure it is on disk; times are UTC."""
    reason = f"{lost}; it was tried on other nodes, too. The next run tries it again."
    if not (folder / layout.JOB).is_file():
        write_record(folder / layout.JOB, job)
    outcome = Outcome(status=Status.NODE_LOST, reason=reason, started_at=started_at, wall_s=0.0)
    write_record(folder / layout.OUTCOME, outcome)
    return outcome


def flagged(folder: Path, outcome: Outcome, flag: Flag) -> Outcome:
    """Add a doubt to the outcome of a job, on disk too."""
    return _with_facts(folder, outcome, flags=(*outcome.facts.flags, flag))


def noted(folder: Path, outcome: Outcome, note: str) -> Outcome:
    """Add a note to the outcome of a job, on disk too."""
    return _with_facts(folder, outcome, notes=(*outcome.facts.notes, note))


def _with_facts(folder: Path, outcome: Outcome, **changes: object) -> Outcome:
    outcome = outcome.model_copy(update={"facts": outcome.facts.model_copy(update=changes)})
    write_record(folder / layout.OUTCOME, outcome)
    return outcome


def _from_end(end: ProcessEnd, folder: Path, *, started_at: str, timeout_s: float) -> Outcome:
    status, reason = _classify(end, timeout_s)
    log = last_lines(folder / layout.WORKER_LOG, LOG_LINES)
    if status is Status.CRASHED and any(sign in log for sign in HOST_SAYS):
        # What no exception could tell: C++ ends the process where memory is refused to it.
        status, reason = Status.OOM_HOST, "ran out of host memory and was ended; use a smaller batch or image size."
    return Outcome(
        status=status,
        reason=f"{reason} The end of {layout.WORKER_LOG}: {log}" if log and status is Status.CRASHED else reason,
        signal=end.signal,
        exit_code=end.exit_code,
        started_at=started_at,
        wall_s=end.wall_s,
    )


def _classify(end: ProcessEnd, timeout_s: float) -> tuple[Status, str]:
    if end.timed_out:
        return Status.TIMEOUT, f"was over its limit of {timeout_s:g} s; raise it under 'timeouts' in the suite."
    if end.signal == "SIGKILL" and end.kernel_oom_kills:
        return Status.OOM_HOST, "the kernel killed it for host memory; use a smaller batch or image size."
    if end.signal is not None:
        return Status.CRASHED, f"was killed by {end.signal} before it reported a result."
    return Status.CRASHED, f"ended with exit code {end.exit_code} before it reported a result."


def last_lines(file: Path, count: int) -> str:
    """Return the last lines of a text file, joined by ` | `; empty if there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in lines[-count:] if line.strip())
