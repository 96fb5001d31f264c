"""Once, at the top of a report: what other processes disturbed, how much, and which they were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.measure.counters import MAX_FOREIGN_SHARE, MAX_STEAL_SHARE
from bench.records import Interference
from bench.report.sentences import row_name
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary

NAMED = 3


def interference_lines(summary: RunSummary) -> list[str]:
    """Return a sentence for what was timed and one for what was trained beside other processes; usually none."""
    timed = {row.case_id: _disturbing(row.timing_interference, blocks=True) for row in summary.rows}
    trained = {row.case_id: _disturbing(row.training_interference) for row in summary.rows if _by_the_clock(row)}
    return [*_timed(summary, timed), *_trained(summary, trained)]


def _timed(summary: RunSummary, found: dict[str, list[Interference]]) -> list[str]:
    seen = [one for some in found.values() for one in some]
    if not seen:
        return []
    names = _names(summary, found)
    return [
        f"**The machine was busy while {names} timed**: {_describe(seen)}. These latencies are flagged, their "
        "intervals are wide or hold fewer samples; for numbers to rely on, close other programs and time again."
    ]


def _trained(summary: RunSummary, found: dict[str, list[Interference]]) -> list[str]:
    seen = [one for some in found.values() for one in some]
    if not seen:
        return []
    names = _names(summary, found)
    return [
        f"**The machine was busy while {names} trained** for a given time: {_describe(seen)}. They came to fewer steps "
        "than on an idle machine, so a difference between their scores may come from the other processes; train "
        "again, or give the budget in steps."
    ]


def _by_the_clock(row: Row) -> bool:
    """Return whether a slower machine means a shorter training."""
    return row.recipe is not None and row.recipe.budget.seconds is not None


def _disturbing(seen: Sequence[Interference], *, blocks: bool = False) -> list[Interference]:
    """Return what was above the protocol's limits, or where blocks were judged, above them in over a tenth."""
    return [
        one
        for one in seen
        if (
            10 * one.disturbed_blocks > one.blocks
            if blocks
            else (one.foreign_share or 0.0) > MAX_FOREIGN_SHARE or (one.steal_share or 0.0) > MAX_STEAL_SHARE
        )
    ]


def _names(summary: RunSummary, found: dict[str, list[Interference]]) -> str:
    rows = {row.case_id: row for row in summary.rows}
    names = list(dict.fromkeys(row_name(summary, rows[case]) for case, some in found.items() if some))
    everything = len(summary.rows) > 1 and sum(1 for some in found.values() if some) == len(summary.rows)
    if everything:
        return f"all {len(summary.rows)} cases were"
    return f"{' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)} {_verb(names)}"


def _verb(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _describe(seen: Sequence[Interference]) -> str:
    """Return how much was used at worst, and by which programs on average."""
    foreign = max((one.foreign_share or 0.0 for one in seen), default=0.0)
    steal = max((one.steal_share or 0.0 for one in seen), default=0.0)
    said = [f"other processes used up to {100 * foreign:.0f} % of the cores"] if foreign > 0 else []
    said += [f"the hypervisor took up to {100 * steal:.1f} %"] if steal > MAX_STEAL_SHARE else []
    by: dict[str, float] = defaultdict(float)
    for one in seen:
        for name, share in one.by.items():
            by[name] += share / len(seen)
    most = sorted(by.items(), key=lambda item: -item[1])[:NAMED]
    who = ", ".join(f"{name} {100 * share:.0f} %" for name, share in most)
    return " and ".join(said) + (
        f" ({who})" if who else " (which ones cannot be seen from here)" if foreign > 0 else ""
    )
