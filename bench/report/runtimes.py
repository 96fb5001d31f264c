"""The table of deployment runtimes: what each costs in answers and buys in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.draw.numbers import MISSING, with_interval
from bench.report.summary.runtimes import KEPT_SCORE, TOLERANCE, RuntimeComparison
from bench.report.text_table import TextTable

if TYPE_CHECKING:
    from bench.report.summary.summarise import RunSummary


def runtimes_table(summary: RunSummary) -> TextTable:
    """Return a row per case that does not run eagerly, against the eager case it equals otherwise."""
    rows = {row.case_id: row for row in summary.rows}
    entries = []
    for one in summary.runtimes:
        row = rows[one.case_id]
        entries.append(
            {
                "model": row.model,
                "data set": row.dataset,
                "target": row.target,
                "changed pixels %": MISSING if one.changed is None else f"{100 * one.changed:.4f}",
                "worst image %": MISSING if one.worst_changed is None else f"{100 * one.worst_changed:.4f}",
                f"Δ {summary.headline}": MISSING if one.score_change is None else f"{one.score_change:+.5f}",
                "latency ratio (this / eager)": with_interval(
                    one.latency_ratio, one.latency_low, one.latency_high, default=2
                ),
                "export MB": MISSING if one.exported_bytes is None else f"{one.exported_bytes / 1e6:.1f}",
                "export s": MISSING if one.export_s is None else f"{one.export_s:.1f}",
                "parity": _parity(one),
            }
        )
    return TextTable(entries)


def runtimes_note(summary: RunSummary) -> str:
    """Return how to read the table, and which rows are another network than the eager one; empty without rows."""
    if not summary.runtimes:
        return ""
    note = (
        f"Each case is compared with the eager case that is equal otherwise, on the same images. In fp32 at most "
        f"{100 * TOLERANCE:g} % of the pixels may get another class, and in any arithmetic at least "
        f"{100 * KEPT_SCORE:g} % of the score must remain; a case that changes more is flagged: its latency is that of "
        "another network. int8 is compared with eager fp32. Instances and segments are compared as label maps."
    )
    flagged = [one for one in summary.runtimes if one.parity is False]
    worst = [
        f"**{one.case_id}**" + (f" (most in image {one.worst_image!r})" if one.worst_image else "") for one in flagged
    ]
    return note + (f" Flagged: {', '.join(worst)}." if worst else "")


def _parity(one: RuntimeComparison) -> str:
    if one.parity is None:
        return MISSING
    failed = [f"above {100 * TOLERANCE:g} % of pixels"] if one.same_pixels is False else []
    failed += [f"below {100 * KEPT_SCORE:g} % of the score"] if one.kept_score is False else []
    return f"NO: {' and '.join(failed)}" if failed else "yes"
