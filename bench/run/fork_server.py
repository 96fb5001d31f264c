"""A pre-imported parent of workers: `python -m bench.run.fork_server ADAPTER TRAINING SOCKET_FD CORES`.

It imports what a worker of one adapter imports, and then forks a fresh process for every job. It does nothing else:
no thread pool is used, no device is opened, no random number is drawn, and no model is built before the fork, so that
a forked worker differs from a fresh interpreter only in the seconds of its imports. Its environment variables and
its cores are those of the workers, since libraries read them when they are loaded.

JSON goes over sockets. It says `ready` or `refused` once. Each request brings a socket of its own, so that several
workers may be at work: over that the worker says its `pid`, and at its end what of ours it `imported`; this
process then says with which `status` the worker ended.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import selectors
import socket
import sys
import threading
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.dataset import dataset_names
from bench.records.compiled import mappings
from bench.run.worker import process as worker
from bench.run.worker import ranks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.adapter import BaseAdapter

MADV_POPULATE_READ = 22
"""Map pages for reading without touching them (madvise(2), Linux 5.14)."""
MOST_BYTES = 65536
"""Most bytes of a request."""
FORKED = "forked from a pre-imported parent"


def main() -> int:
    """Import, then fork workers until the socket is closed; in a worker, return its exit code."""
    adapter, training, descriptor, cores = sys.argv[1], *(json.loads(argument) for argument in sys.argv[2:])
    worker.die_with_parent()
    worker.pin(cores)
    with socket.socket(fileno=descriptor) as connection:
        refusal = _refusal(adapter)
        if refusal is None:
            _import(_imported_late(adapter, training=training))
            dataset_names()  # reads what every installed package offers, which its workers remember
        _say(connection, {"refused": refusal} if refusal else {"ready": os.getpid()})
        _fork_workers(connection)
    return 0


def _fork_workers(connection: socket.socket) -> None:
    """Fork a worker for each request, and say how it ended, until the socket is closed."""
    with selectors.PollSelector() as events:
        events.register(connection, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is not connection:
                    pid, answers = key.data
                    events.unregister(key.fileobj)
                    os.close(key.fd)
                    with answers, contextlib.suppress(OSError):  # nobody may wait for it any more
                        _say(answers, {"status": os.waitpid(pid, 0)[1]})
                    continue
                content, descriptors, *_ = socket.recv_fds(connection, MOST_BYTES, 1)
                if not content:
                    return
                answers = socket.socket(fileno=descriptors[0])
                pid = _forked(json.loads(content), answers, events)
                events.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answers))


def _forked(request: dict[str, Any], answers: socket.socket, events: selectors.BaseSelector) -> int:
    """Fork the worker of a request; it keeps nothing of the others and never returns."""
    _import(request["preload"])
    gc.freeze()  # The collector of the children would copy each page it marks.
    pid = os.fork()
    if pid == 0:
        for key in tuple(events.get_map().values()):
            os.close(key.fd)
            if key.data is not None:
                key.data[1].close()
        leave(_work(answers, request))
    return pid


def _refusal(adapter: str) -> str | None:
    """Import the jobs and the adapter; return why workers cannot be forked after that, or None."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return f"this system does not tell when one of several processes has ended ({error})"
    try:
        work = importlib.import_module("bench.run.worker.work")
        for kind in ("train", "export", "predict", "time"):
            work.work_of(kind)
        # NumPy's OpenBLAS starts its threads when it is loaded, and ends them before each fork by itself.
        threads = _threads()
        importlib.import_module(f"adapters.{adapter}.adapter")
    except Exception as error:
        return f"importing adapter {adapter} failed with {type(error).__name__}: {error}"
    started = _threads() - threads
    return f"importing adapter {adapter} starts {started} threads, which a fork would lose" if started > 0 else None


def _imported_late(adapter: str, *, training: bool) -> tuple[str, ...]:
    """Return what an adapter's jobs import when they build or train; what else one comes to need, it says."""
    adapter_class: type[BaseAdapter] = importlib.import_module(f"adapters.{adapter}.adapter").Adapter
    return (*adapter_class.imported_to_build, *(adapter_class.imported_to_train if training else ()))


def _import(names: Iterable[str]) -> None:
    """Import modules of ours that jobs come to need; one that fails fails in the job, which says so."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"{name} cannot be imported ahead: {error}", file=sys.stderr)


def _work(connection: socket.socket, request: dict[str, Any]) -> int:
    """Be the worker of a job: a session, a log, an identity and random numbers of its own."""
    os.setsid()
    _write_to(request["log"])
    _say(connection, {"pid": os.getpid()})
    leave_ends_to_parent()
    _draw_anew()
    with contextlib.suppress(OSError, ValueError):  # Memory is then some lower, and nothing else differs.
        map_file_pages_of(os.getppid())
    ranks.STARTED = FORKED
    # Libraries start further processes by the name of the main module, which is the worker's.
    sys.modules["__main__"].__spec__ = find_spec("bench.run.worker.process")
    sys.argv = [str(worker.__file__), request["folder"]]
    before = set(sys.modules)
    code = worker.main()
    imported = sorted(name for name in set(sys.modules) - before if name.startswith(("adapters.", "bench.")))
    _say(connection, {"imported": imported})
    return code


def leave(code: int) -> NoReturn:
    """End this process as the interpreter does, but without taking a framework apart, which takes most of a second.

    Threads are waited for and what was registered for the end is called, as in a fresh interpreter.
    """
    # Ends those of executors, too, which `join` alone would wait for in vain.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(code)


def leave_ends_to_parent() -> None:
    """Forget what shall be done at the end of objects of the process that this one was forked from.

    Their owner does it: here it would remove temporary folders that others use, and take 0.04 s of each job.
    """
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]


def map_file_pages_of(parent: int) -> None:
    """Map the pages of files that the parent of this fork has mapped, so that resident memory counts them, too.

    A fork copies what a process has written, but leaves pages of libraries to be mapped again when they are touched;
    those that only importing touches would be missing in the peak of resident memory (proc(5), pagemap).

    Raises:
        OSError: If the kernel does not tell.
    """
    import numpy as np

    page, libc = os.sysconf("SC_PAGE_SIZE"), ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with Path(f"/proc/{parent}/pagemap").open("rb") as pagemap:
        for one in mappings():
            if one.inode == 0 or "r" not in one.permissions:
                continue
            pagemap.seek(one.start // page * 8)
            entries = np.frombuffer(pagemap.read((one.stop - one.start) // page * 8), dtype=np.uint64)
            present = np.concatenate([[0], (entries >> np.uint64(63)).astype(np.int8), [0]])
            for first, last in np.flatnonzero(np.diff(present)).reshape(-1, 2).tolist():
                libc.madvise(one.start + first * page, (last - first) * page, MADV_POPULATE_READ)


def _write_to(log: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _draw_anew() -> None:
    """Seed the global generators from the system, as importing their libraries does in a fresh interpreter."""
    random.seed()
    for name, seed in (("numpy", "random.seed"), ("torch", "seed")):
        target: Any = sys.modules.get(name)
        for part in seed.split("."):
            target = getattr(target, part, None)
        if target is not None:
            target()


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _say(connection: socket.socket, what: dict[str, object]) -> None:
    connection.sendall(json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
