"""Probabilities: how far they can be believed, what the surest pixels are worth, and what thresholds make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from bench.report.facts import Facts
from bench.report.html.curves import Line, plot
from bench.report.probabilities import probability_notes, thresholds_table
from bench.report.summary.probability_curves import ProbabilityCurves

TITLE = "Probabilities"

MOST_LINES = 12


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where no probabilities were kept."""
    known = [one for one in facts.summary.probabilities if one.case_id in facts.name_of]
    if not known:
        return None
    shown = known[:MOST_LINES]
    plots = [
        (
            "Reliability: share of correct pixels by predicted probability; below the diagonal: overconfident",
            _drawn(facts, shown, lambda one: [(a, b) for a, b, _ in one.reliability], "probability", diagonal=True),
        ),
        (
            "Risk and coverage: share of wrong pixels among the surest",
            _drawn(facts, shown, lambda one: [(a, b) for a, b in one.risk], "coverage", ends=None, up="share wrong"),
        ),
        (
            "Dice by threshold, one for all classes, mean over classes without background",
            _drawn(facts, shown, lambda one: [(a, c) for a, _, c in one.thresholds], "threshold tau", up="Dice"),
        ),
        (
            "Precision by recall, mean over classes without background",
            _drawn(facts, shown, lambda one: [(a, b) for a, b in one.precision], "recall", up="precision"),
        ),
    ]
    return {
        "plots": [(heading, drawing) for heading, drawing in plots if drawing is not None],
        "left_out": len(known) - len(shown),
        "thresholds": thresholds_table(facts.summary),
        "notes": probability_notes(facts.summary),
    }


def _drawn(
    facts: Facts,
    curves: Sequence[ProbabilityCurves],
    points: Callable[[ProbabilityCurves], list[tuple[float, float]]],
    across: str,
    *,
    up: str = "share right",
    ends: tuple[float, float] | None = (0.0, 1.0),
    diagonal: bool = False,
) -> Markup | None:
    lines = [Line(facts.position_of[one.case_id], facts.name_of[one.case_id], points(one)) for one in curves]
    lines = [one._replace(marks=one.points) for one in lines] if diagonal else lines
    label = f"{up} against {across} of {len(lines)} rows"
    return plot(lines, across, up, label, ends=ends, diagonal=diagonal)
