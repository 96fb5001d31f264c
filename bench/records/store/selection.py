"""Selects the cases of a run that a command is about: `[RUN] [--case PATTERN]`, the same for every command."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from bench.errors import BenchError, did_you_mean
from bench.records import Case
from bench.records.store.views import RunView


def is_named(case: Case, pattern: str) -> bool:
    """Return whether a pattern (`*` and `?` allowed) is the id or the model label of a case."""
    return any(name == pattern or fnmatchcase(name, pattern) for name in (case.id, case.model.label))


def with_cases(run: RunView, pattern: str | None) -> RunView:
    """Return the run with the cases that a pattern names, or with all of them.

    Raises:
        BenchError: If it names none, with the nearest name and all ids.
    """
    if pattern is None:
        return run
    found = tuple(view for view in run.cases if is_named(view.case, pattern))
    if not found:
        names = [name for view in run.cases for name in (view.case.id, view.case.model.label)]
        ids = "; ".join(view.case.id for view in run.cases)
        raise BenchError(f"the run has no case {pattern!r}.{did_you_mean(pattern, names)} Its cases are: {ids}")
    return replace(run, cases=found)
