"""Workers and their parents as forks of a process that has imported everything: a start then takes no second.

Whatever comes behind the imports is the real thing, session, variables, files, locks and signals included. Only what
the kernel shows of a process's variables is of the process that it was forked from.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from bench.run import orphans

MOST_FILES = 1024


class Fork:
    """Stands in for `subprocess.Popen` of `python -m MODULE …`, whose `main` is called in a fork."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: int,
        stdout: IO[bytes],
        stderr: int,
        start_new_session: bool,
        pass_fds: Iterable[int] = (),
    ) -> None:
        assert (stdin, stderr, start_new_session) == (subprocess.DEVNULL, subprocess.STDOUT, True)
        assert command[1] == "-m"
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        # As between `fork` and `exec`: what comes before the handlers of the new process are set waits for these.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        self.pid = os.fork()
        if self.pid == 0:
            _become(command[2], command[3:], env, cwd, stdout, set(pass_fds), blocked)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def poll(self) -> int | None:
        """The exit code, minus the signal; None while it runs."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # waited for by whoever ends all children
                ended, status = self.pid, 0
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("a fork", timeout or 0)
            time.sleep(0.001)
        assert self.returncode is not None
        return self.returncode


def _become(
    module: str,
    words: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    output: IO[bytes],
    kept: set[int],
    blocked: Iterable[int],
) -> None:
    """Be another process: as after `exec`, nothing is open but what was handed over, and signals do what they do."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(1, 2)
        for number in range(3, MOST_FILES):
            if number not in kept:
                try:
                    os.close(number)
                except OSError:
                    continue
        for number in kept:
            os.set_inheritable(number, True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.argv = [module, *words]
        code = importlib.import_module(module).main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start_workers_by_forks() -> None:
    """Have workers of this process, and their parents, be forks of it; for a process that is itself a fork."""
    stand_in = SimpleNamespace(
        Popen=Fork,
        DEVNULL=subprocess.DEVNULL,
        STDOUT=subprocess.STDOUT,
        TimeoutExpired=subprocess.TimeoutExpired,
    )
    orphans.subprocess = stand_in  # type: ignore[attr-defined, assignment]
