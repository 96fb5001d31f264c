"""Decides whether a row of the report can be trusted, and if not, why and what to do.

Every row is `valid`, `flagged` (use it, knowing the reasons) or `invalid` (do not use it). Each
reason says what was seen and gives one recommendation. Nothing is withheld: an invalid number is
shown with its reason.

Source: LoadGen's VALID / INVALID with itemised reasons (mlcommons/inference @ b66003e1,
`loadgen/results.cc`) and hyperfine's hints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from bench.records import Flag, JobFacts, Record
from bench.report.summary.audit import AuditResult

State = Literal["valid", "flagged", "invalid"]


class Verdict(Record):
    """Hold what a row is worth.

    Attributes:
        state: One word.
        reasons: Flags that speak against it, the invalidating ones first; empty if it is valid.
    """

    state: State
    reasons: tuple[Flag, ...] = ()


def judge(facts: Sequence[JobFacts], doubts: Sequence[Flag], audits: Sequence[AuditResult]) -> Verdict:
    """Weigh what the workers, the statistics and the audit say about one case.

    Args:
        facts: Facts of every job of the case that ended well; replicates that say the same count once.
        doubts: Flags of the latency summary, of the scores, or of anything else that was computed from what was stored.
        audits: Timed against scored predictions, one per timing job.
    """
    invalid = [flag for fact in facts for flag in fact.invalid]
    flags = [flag for fact in facts for flag in fact.flags] + list(doubts)
    for audit in audits:
        if audit.reason is not None:
            (invalid if audit.ok is False else flags).append(audit.reason)
    against = _once(invalid)
    reasons = against + _once(r for r in flags if r.name not in {i.name for i in against})
    state: State = "invalid" if against else "flagged" if reasons else "valid"
    return Verdict(state=state, reasons=tuple(reasons))


def _once(reasons: Iterable[Flag]) -> list[Flag]:
    """Keep the first reason of each name."""
    first: dict[str, Flag] = {}
    for reason in reasons:
        first.setdefault(reason.name, reason)
    return list(first.values())
