"""Jobs in the queue of a SLURM cluster, handed over by submitit; its nodes share the folders of results, data and code.

SLURM decides when and where a job begins. One that measures asks for a node of its own (`--exclusive`), and its node
refuses it if it is unlike the one that the run was planned for.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.measure.devices import Machine, this_machine
from bench.records import Job
from bench.records.names import harness_root, python_path
from bench.records.store.runs import utc_now
from bench.run.executor import (
    Ended,
    Event,
    Helpers,
    PythonOf,
    Started,
    Task,
    is_relative_to_machine,
    takes_several_gpus,
)
from bench.run.executors.on_node import Assignment, carry_out
from bench.run.executors.placement import Slot
from bench.run.helpers import processes_of_this_machine
from bench.run.process import ProcessEnd
from bench.run.workers import FreshInterpreters, Tell

LOOK_S = 1.0
"""Jobs in flight are looked at this often."""
ASK_S = 30
"""SLURM is asked for the states of jobs at least this often."""
SETTLE_S = 20.0
"""Seconds that a job's files may take to be seen here after SLURM says that it has ended."""
MOST_QUEUED = 100
"""Most jobs that are handed over at a time."""
GRACE_MIN = 5
"""Minutes of SLURM's limit beyond the limit of the job itself, which ends it first."""
INTO = ".slurm"
"""Folder among the results with what submitit keeps while a run works."""

OVER = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT")
MEMORY = "OUT_OF_MEMORY"
"""States of a job that has ended (sacct(1), JOB STATE CODES)."""


@dataclass
class _RunningJob:
    task: Task
    job: Any
    mark: Path
    began: bool = False
    over_since: float | None = None


class SlurmExecutor:
    """Carries jobs out in a SLURM queue."""

    is_here = False

    def __init__(self, results: Path, parameters: Sequence[str], tell: Tell, *, share_node: bool = False) -> None:
        """Submit a first small job, which says what the nodes are, and wait for it.

        Args:
            results: Folder of all results, which every node sees under the same path.
            parameters: `NAME=VALUE` of every job, in the words of sbatch or submitit.
            tell: Gets a line while the first job is waited for.
            share_node: True if jobs that measure share their node.

        Raises:
            BenchError: If submitit or SLURM is not here, or SLURM refuses the job.
        """
        self._submitit = _imported()
        jobs = self._submitit.SlurmJob  # SLURM is asked for all of them at once
        jobs.watcher = type(jobs.watcher)(delay_s=ASK_S)
        self._share = share_node
        self._given = _parsed(parameters)
        self._folder = results.resolve() / INTO / f"{platform.node()}-{os.getpid()}-{int(time.time())}"
        self._flying: dict[str, _RunningJob] = {}
        self._events: deque[Event] = deque()
        self._marks = 0
        tell("waiting for a node of the SLURM queue to say what it is")
        self.machine: Machine = self._probe()
        tell(f"what is measured is measured on: {self.machine.words}")

    def helpers(self) -> Helpers | None:
        """Return processes of this machine, from which jobs are handed over."""
        return processes_of_this_machine()

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Any job may be queued; SLURM knows what there is."""

    def at_once(self, job: Job) -> int:  # noqa: ARG002 - as in the contract
        """Return how many jobs are being done just now, at least 1: what SLURM will give is not known."""
        return max(1, sum(flight.began for flight in self._flying.values()))

    def hungry(self) -> bool:
        """Return whether few jobs wait in the queue."""
        return len(self._flying) < MOST_QUEUED

    def submit(self, task: Task) -> None:
        """Hand a job over."""
        job, alone = task.job, is_relative_to_machine(task.job) and not self._share
        self._marks += 1
        mark = self._folder / f"began-{self._marks}"
        slot = Slot(alike=self.machine.identity)
        assigned = Assignment(task, slot, alone, node="SLURM", alike=self.machine.identity)
        minutes = int(task.timeout_s // 60) + GRACE_MIN
        queued = self._hand_over(_on_node, assigned, mark, gpus=_gpus(job), alone=alone, minutes=minutes, name=job.kind)
        self._flying[job.key] = _RunningJob(task, queued, mark)

    def wait(self) -> Event:
        """Return the next that happens."""
        while not self._events:
            for flight in tuple(self._flying.values()):
                self._look(flight)
            if not self._events:
                time.sleep(LOOK_S)
        return self._events.popleft()

    def cancel(self) -> None:
        """Take the jobs in flight out of the queue."""
        flying, self._flying = self._flying, {}
        for flight in flying.values():
            flight.job.cancel(check=False)

    def close(self) -> None:
        """Leave nothing in the queue."""
        self.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look(self, flight: _RunningJob) -> None:
        """Note what has become of a job since it was looked at last."""
        if not flight.began and flight.mark.exists():
            flight.began = True
            self._events.append(Started(flight.task, flight.mark.read_text(encoding="utf-8")))
        if flight.job.paths.result_pickle.exists():
            self._end(flight, flight.job.result(), "")
            return
        flight.job.watcher.update_if_long_enough("standard")
        state = flight.job.watcher.get_state(flight.job.job_id, mode="cache").split(" ")[0]
        if state not in (*OVER, MEMORY):
            return
        now = time.monotonic()
        flight.over_since = flight.over_since or now
        if now - flight.over_since < SETTLE_S:
            return
        if state == MEMORY:
            self._end(flight, ProcessEnd(None, "SIGKILL", timed_out=False, wall_s=0.0, kernel_oom_kills=1), "")
        else:
            self._end(flight, None, f"SLURM job {flight.job.job_id} ended as {state} and left no result")

    def _end(self, flight: _RunningJob, end: ProcessEnd | None, lost: str) -> None:
        del self._flying[flight.task.job.key]
        if not flight.began:
            self._events.append(Started(flight.task))
        place = flight.mark.read_text(encoding="utf-8") if flight.mark.exists() else ""
        self._events.append(Ended(flight.task, end, utc_now(), place, lost=lost))

    def _probe(self) -> Machine:
        mark = self._folder / "probe"
        job = self._hand_over(_what_are_you, mark, gpus=0, alone=not self._share, minutes=GRACE_MIN, name="probe")
        try:
            machine: Machine = job.result()
        except (self._submitit.core.utils.UncompletedJobError, self._submitit.core.utils.FailedJobError) as error:
            raise BenchError(
                f"--executor slurm: the first job, which says what the nodes are, has failed. Every node needs this "
                f"checkout at {harness_root()}, the same packages, and the folder {self._folder}. {error}"
            ) from None
        except KeyboardInterrupt:
            job.cancel(check=False)
            raise
        return machine

    def _hand_over(self, function: Any, *arguments: Any, gpus: int, alone: bool, minutes: int, name: str) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        asked: dict[str, Any] = {
            "job_name": f"bench-{name}",
            "time": minutes,
            "use_srun": False,
            "setup": [f"export PYTHONPATH={python_path()}"],
            **({"gpus_per_node": gpus} if gpus and "gres" not in self._given else {}),
            **({"exclusive": True} if alone else {}),
            **self._given,
        }
        try:
            queue = self._submitit.SlurmExecutor(self._folder)
            queue.update_parameters(**asked)
            return queue.submit(function, *arguments)
        except (RuntimeError, ValueError, OSError, self._submitit.core.utils.FailedJobError) as error:
            raise BenchError(f"--executor slurm: SLURM did not take a job: {error}") from None


def _on_node(assigned: Assignment, mark: Path) -> ProcessEnd:
    """Do a job on the node that SLURM gave it."""
    node = os.environ.get("SLURMD_NODENAME") or platform.node()
    mark.write_text(node, encoding="utf-8")
    here = replace(assigned, node=node)
    return carry_out(here, FreshInterpreters(), print)


def _what_are_you(mark: Path) -> Machine:
    mark.touch()
    return this_machine()


def _gpus(job: Job) -> int:
    if job.target.device == "cpu":
        return 0
    return job.recipe.devices if takes_several_gpus(job) and job.recipe is not None else 1


def _parsed(parameters: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in parameters:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise BenchError(f"--slurm {one}: expected NAME=VALUE, such as partition=gpu")
        found[name.replace("-", "_")] = int(value) if value.isdigit() else value
    return found


def _imported() -> Any:
    try:
        import submitit
    except ImportError:
        raise BenchError(
            "--executor slurm needs the package submitit, which is not installed here. Install it with: "
            "pip install 'segbench[slurm]'"
        ) from None
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise BenchError("--executor slurm: there is no sbatch here; run it on a node from which jobs are submitted")
    return submitit
