"""Selects the cases of a run that a command is about: `[RUN] [--case PATTERN]`, the same for every command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from bench.errors import BenchError, did_you_mean
from bench.records import Case
from bench.records.store.views import RunView


def named_cases(cases: Iterable[Case], pattern: str) -> frozenset[str]:
    """Return the ids of the cases whose id or model label a pattern is; where it is none of these, of those it matches.

    Args:
        pattern: An id or label, which may hold any sign; or a pattern with `*` and `?`.
    """
    names = {case.id: (case.id, case.model.label) for case in cases}
    literal = frozenset(case_id for case_id, own in names.items() if pattern in own)
    return literal or frozenset(case_id for case_id, own in names.items() if any(fnmatchcase(n, pattern) for n in own))


def with_cases(run: RunView, pattern: str | None) -> RunView:
    """Return the run with the cases that a pattern names, or with all of them.

    Raises:
        BenchError: If it names none, with the nearest name and all ids.
    """
    if pattern is None:
        return run
    named = named_cases((view.case for view in run.cases), pattern)
    found = tuple(view for view in run.cases if view.case.id in named)
    if not found:
        names = [name for view in run.cases for name in (view.case.id, view.case.model.label)]
        ids = "; ".join(view.case.id for view in run.cases)
        raise BenchError(f"the run has no case {pattern!r}.{did_you_mean(pattern, names)} Its cases are: {ids}")
    return replace(run, cases=found)
