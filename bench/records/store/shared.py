"""Hold once what is equal in the records of many cases: the classes of a task, a protocol, versions, definitions.

A run of a thousand cases is thousands of records that differ in a few fields; as they are read, each copy of the rest
is one more in memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.records import CaseScores, Record
from bench.records.store.views import JobView, Plan, PlannedCase


class Shared:
    """Knows the records of each kind that were read last, and lets the next ones have what is equal from them."""

    def __init__(self, plan: Plan) -> None:
        """Share among the cases of a plan."""
        self._last: dict[str, Record] = {}
        for planned in plan.cases:
            self._take("planned", planned)
            self._take("case", planned.case)
            self._take("model", planned.case.model)

    def case(self, planned: PlannedCase, views: Iterable[JobView | None], scores: CaseScores | None) -> None:
        """Share the settings of a case's jobs with those of its plan, and the rest with the last ones of a kind."""
        for view in views:
            if view is None:
                continue
            self._take(view.job.kind, view.job, planned.case, planned)
            if view.outcome is not None:
                self._take(f"{view.job.kind} outcome", view.outcome)
                self._take(f"{view.job.kind} facts", view.outcome.facts)
        if scores is not None:
            self._take("scores", scores)
            for score in scores.scores:
                self._take(score.metric, score)

    def _take(self, name: str, record: Record, *others: Record) -> None:
        last = self._last.get(name)
        for other in (*others, *([] if last is None else [last])):
            _share(record, other)
        self._last[name] = record


def _share(record: Record, other: Record) -> None:
    """Let a record have the values of another one's fields of the same names where they are the same."""
    own, theirs = record.__dict__, other.__dict__
    for name, value in own.items():
        if _same(value, found := theirs.get(name)):
            own[name] = found
    if type(record) is type(other) and record.model_fields_set == other.model_fields_set:
        object.__setattr__(record, "__pydantic_fields_set__", other.model_fields_set)


def _same(one: object, other: object) -> bool:
    """Return whether two values are written alike, too: 1 and 1.0, which are equal, are not."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Record) and isinstance(other, Record):
        return _same(one.__dict__, other.__dict__)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(_same, one.values(), other.values()))
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and repr(one) == repr(other)
