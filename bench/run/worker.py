"""A worker: `python -m bench.run.worker JOB_DIR` does one job and leaves files behind.

It owns the clock and the model. When it predicts or times it is handed images alone. Whatever
happens, it tries to say how it ended in `outcome.json`, written last and atomically; a worker
that cannot (a signal, a full disk) leaves none, and the parent tells the rest from its end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench.errors import BenchError, ShapeError, Unsupported
from bench.plugins import ADAPTERS_VARIABLE, harness_root
from bench.records import Job, JobFacts, Outcome, Status, read_record
from bench.store import layout
from bench.store.files import write_record
from bench.store.runs import utc_now


class WrongTree(BenchError):
    """The packages `bench` or `adapters` come from another place than the parent's."""


def main() -> int:
    """Do the job in the folder named on the command line; 0 whenever an outcome was written."""
    started, started_at = time.monotonic(), utc_now()
    _die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    job = read_record(Job, folder / layout.JOB)
    status, reason, trace, facts = _attempt(lambda: _do(job, folder))
    outcome = Outcome(
        status=status,
        reason=reason,
        started_at=started_at,
        wall_s=time.monotonic() - started,
        traceback=trace,
        facts=facts,
    )
    write_record(folder / layout.OUTCOME, outcome)
    return 0


def _attempt(work: Callable[[], JobFacts]) -> tuple[Status, str | None, str | None, JobFacts]:
    """Do the work and classify how it ended; the one place in a worker that catches broadly."""
    try:
        return Status.OK, None, None, work()
    except Unsupported as error:
        return Status.UNSUPPORTED, str(error), None, JobFacts()
    except ShapeError as error:
        return Status.INVALID_OUTPUT, str(error), None, JobFacts()
    except (WrongTree, ImportError) as error:
        return Status.ENVIRONMENT_ERROR, _what_is_missing(error), traceback.format_exc(), JobFacts()
    except MemoryError:
        reason = "ran out of host memory; use a smaller batch or image size"
        return Status.OOM_HOST, reason, traceback.format_exc(), JobFacts()
    except BenchError as error:
        return Status.CRASHED, str(error), None, JobFacts()
    except Exception as error:
        if _is_device_oom(error):
            reason = "ran out of device memory; use a smaller batch or image size"
            return Status.OOM_DEVICE, reason, traceback.format_exc(), JobFacts()
        return Status.CRASHED, f"{type(error).__name__}: {error}", traceback.format_exc(), JobFacts()


def _is_device_oom(error: Exception) -> bool:
    """Whether a framework says that its device is full; frameworks share no exception type."""
    return type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(error)


def _what_is_missing(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{sys.executable} has no package {error.name.split('.')[0]}; see what is missing with: bench doctor"
    return str(error)


def _do(job: Job, folder: Path) -> JobFacts:
    _check_tree(job)
    if job.cpu_affinity is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cpu_affinity)
    # Imported late: what is imported here must come from the tree that was just checked.
    from bench.run.work import predict_job, time_job, train_job

    return {"train": train_job, "predict": predict_job, "time": time_job}[job.kind](job, folder)


def _check_tree(job: Job) -> None:
    """Refuse to run another `bench` or `adapters` than the parent planned with."""
    found = harness_root()
    if found != Path(job.harness_root):
        raise WrongTree(f"this worker runs {found / 'bench'}, but the job was planned by {job.harness_root}/bench")
    import adapters

    theirs = Path(str(adapters.__file__)).resolve().parent
    outside = os.environ.get(ADAPTERS_VARIABLE)
    if outside is None and theirs != Path(job.adapters_root).resolve():
        raise WrongTree(f"this worker finds adapters in {theirs}, but the job was planned with {job.adapters_root}")


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, so that no orphan disturbs the next run."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent ended before the request was made.
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
