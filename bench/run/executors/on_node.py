"""Carries out a job on its node, for every executor alike: its last facts are added, and its worker is waited for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from bench.errors import BenchError
from bench.measure.devices import this_machine
from bench.records import Job, Outcome, Status
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
from bench.records.store.runs import utc_now
from bench.run.environments.record import provenance_now
from bench.run.executor import Task, is_relative_to_machine
from bench.run.executors.placement import Slot, number_of
from bench.run.planning.code_keys import refuse_changed_code
from bench.run.planning.prepare import pinned_cores
from bench.run.process import ProcessEnd
from bench.run.worker.confinement import temporary_of
from bench.run.workers import Tell, Workers


@dataclass(frozen=True)
class Assignment:
    """A job, and what it gets of the node.

    Attributes:
        task: The job.
        slot: The part of the node that it is pinned to.
        whole: True if nothing else runs on the node.
        gpus: `CUDA_VISIBLE_DEVICES` of its worker; None leaves it alone.
        node: Name of the node in its cluster; empty for this machine.
        alike: `Machine.identity` that a node of a cluster must have, where a number of the job depends on it.
    """

    task: Task
    slot: Slot
    whole: bool
    gpus: str | None = None
    node: str = ""
    alike: str = ""


def carry_out(assigned: Assignment, workers: Workers, tell: Tell) -> ProcessEnd:
    """Do a job here; its folder holds what it left, and `outcome.json` if the worker could write it.

    The calling thread blocks until the worker has ended.
    """
    task = assigned.task
    task.folder.mkdir(parents=True, exist_ok=True)
    job = _completed(assigned)
    write_record(task.folder / layout.JOB, job)
    if (refusal := _refusal(assigned)) is not None:
        outcome = Outcome(status=Status.ENVIRONMENT_ERROR, reason=refusal, started_at=utc_now(), wall_s=0.0)
        write_record(task.folder / layout.OUTCOME, outcome)
        return ProcessEnd(exit_code=0, signal=None, timed_out=False, wall_s=0.0, kernel_oom_kills=None)
    end = workers.run(
        job,
        task.python,
        folder=task.folder,
        log=task.folder / layout.WORKER_LOG,
        timeout_s=task.timeout_s,
        tell=tell,
    )
    shutil.rmtree(temporary_of(task.folder), ignore_errors=True)
    return end


def _completed(assigned: Assignment) -> Job:
    """Return the job with what is known only here: cores, GPUs, and where and with which code it is done."""
    job, slot = assigned.task.job, assigned.slot
    cores = slot.measuring_cores if assigned.whole else slot.cores
    return job.model_copy(
        update={
            "cpu_affinity": pinned_cores(job.target.threads, cores),
            "gpus": assigned.gpus,
            "provenance": provenance_now(
                RunFolder(assigned.task.folder.parent.parent), number_of(cores), assigned.node
            ),
        }
    )


def _refusal(assigned: Assignment) -> str | None:
    """Return why a node of a cluster may not do a job: it has other code, or would be compared with unlike ones."""
    job, cores = assigned.task.job, assigned.slot.measuring_cores
    if not assigned.node:
        return None
    try:
        refuse_changed_code(job)
    except BenchError as error:
        return f"{assigned.node} has other code than the machine that planned the run: {error}"
    if not is_relative_to_machine(job):
        return None
    here = this_machine(number_of(cores))
    if here.identity == assigned.alike:
        return None
    return (
        f"was planned for another machine than it was given ({assigned.node}: {here.words}): numbers of unlike "
        "machines are never compared in one run. Ask the cluster for machines of one kind, for example with --slurm "
        "constraint=NAME"
    )
