"""Tables and sentences on probabilities, for all forms of the report."""

from __future__ import annotations

from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

MOST_CLASSES = 24
"""Most classes for which a table of thresholds is made; thresholds of more are in results.json only."""


def thresholds_table(summary: RunSummary) -> TextTable:
    """Return the threshold of each class, a row for each case that chose any."""
    rows = {row.case_id: row for row in summary.rows}
    chosen = [one for one in summary.probabilities if one.taus and one.case_id in rows]
    entries = [
        {
            **summary.columns_of(rows[one.case_id]),
            **{f"tau of {name}": f"{tau:.3f}" for name, tau in one.taus.items()},
            "chosen on": one.taus_from,
        }
        for one in chosen
        if len(one.taus) <= MOST_CLASSES
    ]
    return TextTable(entries, missing="")


def probability_notes(summary: RunSummary) -> list[str]:
    """Return how probabilities were kept and rounded, and how to read thresholds."""
    if not summary.probabilities:
        return []
    error = next((one.quantisation_error for one in summary.probabilities if one.quantisation_error is not None), None)
    kept = sum(one.kept_bytes or 0 for one in summary.probabilities)
    rounded = "" if error is None else f", each rounded by at most {error:.4f}"
    lines = [
        f"Probabilities of each class and pixel were kept in 256 levels{rounded}; they take {kept / 2**20:.1f} MiB. "
        "None of this was timed."
    ]
    if any(one.taus for one in summary.probabilities):
        lines.append(
            "Thresholds were chosen on the images that the table names and applied to the scored images; *best on "
            "these images* chose them on the scored images themselves: an upper bound, not a result."
        )
    return lines
