"""A worker: `python -m bench.run.worker.process JOB_DIR` does one job and leaves files behind.

It owns the clock and the model. When it predicts or times it is handed images alone. Whatever
happens, it tries to say how it ended in `outcome.json`, written last and atomically; a worker
that cannot (a signal, a full disk) leaves none, and the parent tells the rest from its end.

At import time this module needs the standard library only: it must be able to say that the
interpreter it was given lacks a package, or that it runs another tree than the parent's.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import visible
from bench.measure.phases import PHASES, during
from bench.run.worker.confinement import WRITABLE, confine, is_confined
from bench.run.worker.ranks import is_further_process

if TYPE_CHECKING:
    from bench.records import Job, JobFacts

JOB, OUTCOME = "job.json", "outcome.json"
"""The names of `bench.records.store.layout`, which may not be imported before the tree was checked."""

LOCK = ".lock"
"""File in a job folder that its worker holds."""

EXIT_GRACE_S = 20
"""Seconds between a written outcome and the end of the process."""

PARENT = "BENCH_PARENT"
"""Variable with the identity of the process that asked for the job."""

Ending = dict[str, Any]
"""The fields of an `Outcome` beyond its times: status, reason, traceback, facts."""


class WrongTree(Exception):
    """The packages `bench` or `adapters` come from another place than the parent's."""


def main() -> int:
    """Do the job in the folder named on the command line; 0 whenever an outcome was written.

    A distributed training starts this command again for each further process, with `LOCAL_RANK`
    above 0 as the field's launchers set it: these work along and leave no outcome.
    """
    return serve(_load_work, confined=True)


def serve(load_work: Callable[[], Callable[[Job, Path], JobFacts]], *, confined: bool) -> int:
    """Do some work in the folder named on the command line, and say how it ended; 0 whenever that was written.

    Args:
        load_work: Imports the work, once the tree was checked.
        confined: True if it may write in its folder, caches and a temporary folder alone.
    """
    PHASES.seconds.clear()
    started, started_at = time.monotonic(), _now()
    die_with_parent()
    _leave_without_parent()  # in this order: whoever ends from now on takes this process along
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    held = None if is_further_process() else hold(folder)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    try:
        if held is not None and held < 0:
            print(f"another worker works in {folder}; this one leaves it alone", file=sys.stderr)
            return 1
        check_tree(job)
        pin(job["cpu_affinity"])
        if confined:
            confine(folder)
        with during("import"):
            work = load_work()
        ending = _attempt(work, folder)
    except (WrongTree, ImportError) as error:
        ending = _ending("environment_error", _what_is_missing(error, job), traceback.format_exc())
    if is_further_process():
        return int(ending["status"] != "ok")
    # The outcome will be written by then; a library that does not let go must not hold the suite up.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.alarm(EXIT_GRACE_S)
    _write(folder / OUTCOME, {**ending, "started_at": started_at, "wall_s": time.monotonic() - started})
    return 0


def do_here(folder: Path) -> None:
    """Do the job of a folder in this process, which takes none of a worker's limits on, and say how it ended."""
    started, started_at = time.monotonic(), _now()
    own = dict(PHASES.seconds)
    PHASES.seconds.clear()
    try:
        ending = _attempt(_load_work(), folder, limited=False)
    except ImportError as error:
        job = json.loads((folder / JOB).read_text(encoding="utf-8"))
        ending = _ending("environment_error", _what_is_missing(error, job), traceback.format_exc())
    finally:  # the job's seconds stand in its outcome
        PHASES.seconds.clear()
        PHASES.seconds.update(own)
    _write(folder / OUTCOME, {**ending, "started_at": started_at, "wall_s": time.monotonic() - started})


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def hold(folder: Path) -> int:
    """Lock a job folder for this process alone, for as long as it lives; -1 if another process holds it.

    The lock's file says whose worker it is.
    """
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return -1
    except OSError:  # a file system without locks
        return file
    os.ftruncate(file, 0)
    os.write(file, f"{os.environ.get(PARENT, '')}\n".encode())
    return file


def check_tree(job: dict[str, Any]) -> None:
    """Refuse to run another `bench`, or another adapter, than the parent planned with.

    Args:
        job: The content of `job.json`.

    Raises:
        WrongTree: Naming both paths.
    """
    found = Path(__file__).resolve().parents[3]
    if found != Path(job["harness_root"]).resolve():
        raise WrongTree(f"this worker runs {found / 'bench'}, but the job was planned by {job['harness_root']}/bench")
    if Path(job["adapters_root"]).resolve() != found / "adapters":
        return  # An adapter from outside: found by its folder, not by the name of a package.
    spec = importlib.util.find_spec("adapters")
    theirs = Path(str(spec.origin)).resolve().parent if spec is not None else None
    if theirs != found / "adapters":
        raise WrongTree(
            f"this worker finds the package adapters in {theirs}, but the job was planned with {job['adapters_root']}; "
            f"uninstall the other package of that name from {sys.executable}"
        )


def pin(cores: list[int] | None) -> None:
    """Stay on some cores; before NumPy is imported, whose thread pools count the cores then."""
    if cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _load_work() -> Callable[[Job, Path], JobFacts]:
    """Import the rest of the harness; what is imported here comes from the tree that was checked."""
    from bench.run.worker.work import do_job

    return do_job


def _attempt(work: Callable[[Job, Path], JobFacts], folder: Path, *, limited: bool = True) -> Ending:
    """Do the work, within a limit of memory, and classify how it ended; the one place that catches broadly."""
    with during("import"):
        from bench.errors import BenchError, ShapeError, Unsupported
        from bench.measure.out_of_memory import memory_that_is_full
        from bench.records import Job, as_json_dict, read_record
        from bench.run.worker.memory_limit import limit_memory
        from bench.run.worker.training_log import Pruned

    device = "cpu"
    try:
        job = read_record(Job, folder / JOB)
        device = job.target.device
        if limited:
            limit_memory(job)
        facts = as_json_dict(work(job, folder))
        return {**_ending("ok"), "facts": {**facts, "phases_s": dict(PHASES.seconds)}}
    except Unsupported as error:
        return _ending("unsupported", str(error))
    except Pruned as error:
        return _ending("pruned", str(error))
    except ShapeError as error:
        return _ending("invalid_output", str(error))
    except ImportError:
        raise
    except BenchError as error:
        return _ending("usage_error", str(error))
    except Exception as error:
        full = memory_that_is_full(error, device=device)
        if full is not None:
            whose = "device" if full == "oom_device" else "host"
            reason = f"ran out of {whose} memory{_allowed(full)}; use a smaller batch or image size"
            return _ending(full, reason, traceback.format_exc())
        return _ending("crashed", f"{type(error).__name__}: {error}{_may_not(error)}", traceback.format_exc())


def _may_not(error: Exception) -> str:
    """Return what to do about a file that this process may not write, where that is why it was refused."""
    if not (isinstance(error, PermissionError) and is_confined()):
        return ""
    return (
        ". A worker may write in its own folder, caches and temporary folder only; name others, separated by "
        f"{os.pathsep!r}, in the variable {WRITABLE}"
    )


def _allowed(full: str) -> str:
    from bench.run.worker.memory_limit import SHARE, limit_in_words

    limit = limit_in_words() if full == "oom_host" else "no limit"
    return "" if limit == "no limit" else f": it may take {limit}, a share of what was free that {SHARE} sets"


def _ending(status: str, reason: str | None = None, trace: str | None = None) -> Ending:
    return {"status": status, "reason": reason, "traceback": trace}


def _what_is_missing(error: Exception, job: dict[str, Any]) -> str:
    """Name the interpreter, the package and the command that fixes it."""
    if not isinstance(error, ImportError):
        return str(error)
    adapter = job["model"]["adapter"]
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == "bench":
        return f"adapter {adapter!r} imports {error.name}, which this bench does not have. See adapters/README.md"
    what = f"the package {error.name.partition('.')[0]}" if error.name else str(error)
    if isinstance(error, ModuleNotFoundError):
        said = f"adapter {adapter!r} needs {what}, which {sys.executable} does not have."
    else:
        said = f"adapter {adapter!r} cannot import from {what} with {sys.executable}: {error}."
    requirements = Path(job["adapters_root"]) / adapter / "requirements.txt"
    if requirements.is_file():
        said += f" Install what it needs with: {sys.executable} -m pip install -r {requirements}"
    return f"{said} See what is there with: bench doctor"


def _write(path: Path, outcome: Ending) -> None:
    """Write an outcome in one step, with the standard library alone; `Outcome` reads it back."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(_as_text(outcome), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a full disk, above all: what was begun is in the way of what could still be written
        temporary.unlink(missing_ok=True)
        raise


def _as_text(value: Any) -> Any:
    """Return the value with every string such that UTF-8 can hold it and a terminal can show it, see `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    return [_as_text(item) for item in value] if isinstance(value, list | tuple) else value


def _leave_without_parent() -> None:
    """End at once if the process that asked for this job, see `process_identity`, has ended before we began."""
    asked_by = os.environ.get(PARENT)
    if asked_by and is_gone(asked_by):
        os._exit(1)


def is_gone(identity: str) -> bool:
    """Return whether a process of this namespace has ended; never of one whose process numbers mean nothing here."""
    pid, _, rest = identity.partition(":")
    if not pid.isdigit() or rest.partition("@")[2] not in ("", _namespace()):
        return False
    return identity != process_identity(int(pid))


def _namespace() -> str:
    """Number of the namespace of process ids that this process lives in; empty where the system does not say."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""


def process_identity(pid: int) -> str:
    """`pid:start@namespace` of a process, unlike any other's even when its number is used again.

    Without a start if it is gone.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return f"{pid}:{text.rpartition(')')[2].split()[19]}@{_namespace()}"
    except (OSError, IndexError):
        return f"{pid}:"


def die_with_parent() -> None:
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
