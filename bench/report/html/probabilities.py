"""Probabilities: how far they can be believed, what the surest pixels are worth, and what thresholds make of them."""

from __future__ import annotations

from typing import Any

from bench.report.draw.probability_curves import probability_curves
from bench.report.facts import Facts
from bench.report.html.figures import svg
from bench.report.probabilities import probability_notes, thresholds_table

TITLE = "Probabilities"

MOST_LINES = 12


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where no probabilities were kept."""
    known = [one for one in facts.summary.probabilities if one.case_id in facts.name_of]
    if not known:
        return None
    shown, plots = known[:MOST_LINES], []
    for dataset in dict.fromkeys(one.dataset for one in shown):
        curves = [one for one in shown if one.dataset == dataset]
        label = f"Reliability, risk and coverage, scores by threshold and precision by recall of {len(curves)} rows"
        drawing = svg(
            f"{label} on {dataset}", probability_curves, curves, [facts.name_of[one.case_id] for one in curves]
        )
        plots.append((f"Reliability, risk and thresholds on {dataset}", drawing))
    return {
        "plots": plots,
        "left_out": len(known) - len(shown),
        "thresholds": thresholds_table(facts.summary),
        "notes": probability_notes(facts.summary),
    }
