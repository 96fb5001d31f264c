"""Tells where and with which code the jobs of a run were done: each environment once, and which row rests on which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from bench.records import Provenance, Record
from bench.records.store.views import CaseView, RunView


class Origin(Record):
    """A machine with a state of the harness and its packages, in which jobs were done.

    Attributes:
        name: Short, for tables: A, B, …
        commit: Commit of the harness; None where it is not known.
        dirty: True if tracked files had changed since that commit.
        host: The machine in words.
        environment: The whole record; empty where it is damaged.
    """

    name: str
    commit: str | None
    dirty: bool | None
    host: str
    environment: dict[str, JsonValue]


NOT_RECORDED = "?"
"""Name of the origin of a job that a version before 0.3 left."""


def origins_of(run: RunView) -> dict[str, Origin]:
    """Return name of an environment record -> origin, in the order of the cases and their jobs."""
    found: dict[str, Provenance] = {}
    for view in run.cases:
        for job in view.jobs:
            if job.job.provenance is not None:
                found.setdefault(job.job.provenance.environment, job.job.provenance)
    return {
        environment: Origin(
            name=_letters(number),
            commit=provenance.commit,
            dirty=provenance.dirty,
            host=provenance.host,
            environment=dict(run.environments.get(environment, {})),
        )
        for number, (environment, provenance) in enumerate(found.items())
    }


def jobs_by_origin(view: CaseView, origins: Mapping[str, Origin]) -> dict[str, tuple[str, ...]]:
    """Return kind of job -> names of the origins of its jobs, one for each that differs."""
    made: dict[str, dict[str, None]] = {}
    for job in view.jobs:
        where = job.job.provenance
        made.setdefault(job.job.kind, {})[origins[where.environment].name if where else NOT_RECORDED] = None
    return {kind: tuple(names) for kind, names in made.items()}


def unlike_score_code(run: RunView) -> tuple[str, ...]:
    """Return files whose code differed between the scorings of two cases: their scores are not quite of one kind."""
    states: dict[str, set[str]] = {}
    for view in run.cases:
        for path, digits in view.scores.code.items() if view.scores else ():
            states.setdefault(path, set()).add(digits)
    return tuple(path for path, found in sorted(states.items()) if len(found) > 1)


def several_origins(of_rows: Iterable[Mapping[str, tuple[str, ...]]]) -> bool:
    """Return whether the jobs of these rows were not all done in one environment; see `jobs_by_origin`."""
    return len({name for made in of_rows for names in made.values() for name in names}) > 1


def _letters(number: int) -> str:
    """A … Z, AA, AB …

    >>> [_letters(number) for number in (0, 25, 26, 701, 702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    text = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        text = chr(ord("A") + letter) + text
    return text
