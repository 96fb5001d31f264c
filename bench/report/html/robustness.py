"""Robustness: what corrupted images and other data sets do to each model."""

from __future__ import annotations

from typing import Any

from bench.report.draw.robustness import family_curves
from bench.report.facts import Facts
from bench.report.html.curves import Line, plot
from bench.report.robustness import corruptions_table, natural_table, robustness_notes, robustness_table

TITLE = "Robustness"

MOST_LINES = 12


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where no image was shifted."""
    summary = facts.summary
    known = [one for one in summary.robustness if one.case_id in facts.name_of]
    if not known:
        return None
    curves = {one.case_id: family_curves(one) for one in known[:MOST_LINES]}
    families = list(dict.fromkeys(family for of_case in curves.values() for family in of_case))
    plots = []
    for family in families:
        lines = [
            Line(facts.position_of[case_id], facts.name_of[case_id], points, marks=points)
            for case_id, of_case in curves.items()
            for points in [of_case.get(family, [])]
        ]
        label = f"{summary.headline} by severity of {family}, {len(lines)} rows"
        drawing = plot(lines, "severity, 0 = as they are", summary.headline_in_unit, label)
        plots.append((f"{family.capitalize()}: mean over its corruptions", drawing))
    return {
        "table": robustness_table(summary),
        "notes": robustness_notes(summary),
        "plots": plots,
        "left_out": len(known) - len(curves),
        "corruptions": corruptions_table(summary),
        "natural": natural_table(summary),
    }
