"""Finds what was measured before memory was a part of a machine's identity, so that a run of then is not done again."""

from __future__ import annotations

from dataclasses import replace

from bench.records import Job, digest
from bench.records.provenance import has_memory, same_machine, without_memory
from bench.records.store.job_folders import JobFolders
from bench.records.store.layout import RunFolder
from bench.records.store.runs import find_job, is_final
from bench.run.planning.prepare import Prepared
from bench.suite.jobs import CasePlan


def with_measured_before(prepared: Prepared, run: RunFolder) -> Prepared:
    """Return a suite in which jobs that were measured on a machine like this one have the keys that they had then.

    A job without a record of its machine's memory, as on systems that tell none, counts as measured on this one.
    """
    folders = JobFolders(run)
    cases = tuple(_measured(plan, run, folders) for plan in prepared.cases)
    return (
        prepared
        if all(now is then for now, then in zip(cases, prepared.cases, strict=True))
        else replace(prepared, cases=cases)
    )


def _measured(plan: CasePlan, run: RunFolder, folders: JobFolders) -> CasePlan:
    times = tuple(_known(job, run, folders) for job in plan.times)
    profile = None if plan.profile is None else _known(plan.profile, run, folders)
    throughput = None if plan.throughput is None else _known(plan.throughput, run, folders)
    now, then = (*times, profile, throughput), (*plan.times, plan.profile, plan.throughput)
    if all(one is other for one, other in zip(now, then, strict=True)):
        return plan
    return replace(plan, times=times, profile=profile, throughput=throughput)


def _known(job: Job, run: RunFolder, folders: JobFolders) -> Job:
    machine = job.key_parts["machine"]
    if not has_memory(machine) or folders.of_key(job.kind, job.key):
        return job
    key = digest({"kind": job.kind, **job.key_parts, "machine": without_memory(machine)})
    view = find_job(run, job.kind, key, folders)
    if view is None or view.damage is not None or not is_final(view.outcome):
        return job
    return job.model_copy(update={"key": key}) if same_machine(view.job.key_parts["machine"], machine) else job
