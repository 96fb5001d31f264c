"""Robustness: what corrupted images and other data sets do to each model."""

from __future__ import annotations

from typing import Any

from bench.report.draw.robustness import family_curves, robustness_curves
from bench.report.facts import Facts
from bench.report.html.figures import svg
from bench.report.robustness import corruptions_table, natural_table, robustness_notes, robustness_table

TITLE = "Robustness"

MOST_LINES = 12


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where no image was shifted."""
    summary = facts.summary
    known = [one for one in summary.robustness if one.case_id in facts.name_of]
    if not known:
        return None
    shown, plots = known[:MOST_LINES], []
    for dataset in dict.fromkeys(one.dataset for one in shown):
        curves = [(facts.name_of[one.case_id], family_curves(one)) for one in shown if one.dataset == dataset]
        if any(of_family for _, of_family in curves):
            label = f"{summary.headline} by severity of each family of corruptions on {dataset}, {len(curves)} rows"
            drawing = svg(label, robustness_curves, curves, score_label=summary.headline_in_unit)
            plots.append((f"By severity on {dataset}, 0 = as they are: mean over the corruptions of a family", drawing))
    return {
        "table": robustness_table(summary),
        "notes": robustness_notes(summary),
        "plots": plots,
        "left_out": len(known) - len(shown),
        "corruptions": corruptions_table(summary),
        "natural": natural_table(summary),
    }
