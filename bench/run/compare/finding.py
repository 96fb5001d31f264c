"""Records the findings of a comparison: a number of two sides, and its verdict."""

from __future__ import annotations

from typing import Literal

from bench.records import Record

Verdict = Literal["better", "worse", "same", "undecided", "not compared"]


class Finding(Record):
    """One number of two sides.

    Attributes:
        case: The other side's case: model, data set, target.
        quantity: `mean_iou`, `end_to_end_p50`, `peak_host_mib` …
        scope: `class NAME`, `slice NAME`, or empty for all.
        unit: Unit of `before`, `after` and, if not relative, of the change.
        before, after: Value on the reference's side and on the other side.
        change, low, high: The change: after less before, or for latency and memory after / before - 1, with its
            interval; None where it cannot be had.
        p_holm: p-value after the correction for all numbers of the comparison.
        margin: Allowed change for the worse, in the unit of `change`.
        gated: True if the gate names it.
        verdict: Verdict on the change, see `verdicts`.
        smallest: The smallest change that these data show in 9 of 10 comparisons, in the unit of `change`.
        needed: Additional data that would decide a change as large as the margin; empty where it is decided.
        why: Reason why it is not compared; empty where it is.
    """

    case: str
    quantity: str
    scope: str = ""
    unit: str = ""
    before: float | None = None
    after: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    margin: float
    gated: bool = False
    verdict: Verdict = "not compared"
    smallest: float | None = None
    needed: str = ""
    why: str = ""

    @property
    def regressed(self) -> bool:
        """Return whether the gate fails for it: significantly worse, and by more than the margin."""
        return self.gated and self.verdict == "worse" and self.change is not None and abs(self.change) > self.margin


class Comparison(Record):
    """Two sides, named as they were asked for, and a finding for each number.

    How they were measured differently, a line each, is said before any number; cases that one side lacks after them.
    """

    reference: str
    other: str
    differences: tuple[str, ...]
    findings: tuple[Finding, ...]
    only_in_one: tuple[str, ...] = ()

    @property
    def regressions(self) -> tuple[Finding, ...]:
        """Findings for which the gate fails."""
        return tuple(one for one in self.findings if one.regressed)
