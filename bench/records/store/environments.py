"""Read the records of environments: that of a run, and those that its jobs were done in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue

from bench.errors import in_one_line
from bench.records import Job
from bench.records.damage import content_of
from bench.records.provenance import has_memory, memory_size, with_memory, with_memory_in_words
from bench.records.store.files import State, file_state
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damage_of
from bench.records.store.views import CaseView, Damage


def environments_of_jobs(cases: Iterable[CaseView]) -> tuple[dict[str, dict[str, JsonValue]], list[Damage]]:
    """Return name -> environment of the cases' jobs, also in other runs, and those that cannot be used."""
    found: dict[str, dict[str, JsonValue]] = {}
    damages = []
    for view in cases:
        for job in view.jobs:
            if job.job.provenance is None or job.job.provenance.environment in found:
                continue
            name = job.job.provenance.environment
            run = RunFolder(job.folder.parent.parent)
            found[name], reason = read_environment(run, run.environment(name))
            if reason is None and not run.environment(name).is_file():
                reason = "is missing"
            if reason is not None:
                damages.append(Damage("", "environment", 0, f"environments/{name}.json", reason))
    return found, damages


def read_environment(run: RunFolder, path: Path) -> tuple[dict[str, JsonValue], str | None]:
    """Return what is known of the machine, and why nothing is: a damaged file costs these lines of the report alone."""
    changed = damage_of(run, path)
    if changed is not None:
        return {}, changed
    try:
        found = json.loads(content_of(path))
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # what no report could hold is damage too
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"cannot be read: {type(error).__name__}: {in_one_line(error)}"
    if not isinstance(found, dict):
        return {}, f"holds a {type(found).__name__} where a mapping is expected"
    return found, None


def with_recorded_memory(folder: Path, job: Job) -> Job:
    """Return a job of before the memory was a part of its machine's identity as one of now, under its own key."""
    where = job.provenance
    if where is None or has_memory(where.machine):
        return job
    run = RunFolder(folder.parent.parent)
    path = run.environment(where.environment)
    memory = _memory(run, path, file_state(path))
    if memory is None:
        return job
    now = where.model_copy(
        update={
            "machine": with_memory(where.machine, memory),
            "host": with_memory_in_words(where.host, memory),
        }
    )
    planned_for = job.key_parts.get("machine")
    machine = {} if planned_for is None else {"machine": with_memory(planned_for, memory)}
    return job.model_copy(update={"provenance": now, "key_parts": {**job.key_parts, **machine}})


@lru_cache(maxsize=256)
def _memory(run: RunFolder, path: Path, _: State | None) -> str | None:
    system = read_environment(run, path)[0].get("system")
    total = system.get("memory_bytes") if isinstance(system, dict) else None
    return memory_size(total) if isinstance(total, int) and total > 0 else None
