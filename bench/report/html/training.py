"""Training: curves, what the budget came to, recipes."""

from __future__ import annotations

from typing import Any

from bench.report import sentences, training_tables
from bench.report.draw.training_curves import training_curves
from bench.report.draw.training_pictures import training_curves_of
from bench.report.facts import Facts
from bench.report.html.figures import svg

TITLE = "Training"

MOST_LINES = 21


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was trained."""
    summary = facts.summary
    table, budget = training_tables.training_table(summary), training_tables.budget_table(summary)
    views = [facts.view_of(case_id) for case_id in facts.name_of if case_id in facts.samples]
    shown = training_curves_of([view for view in views if view is not None and view.train is not None])[:MOST_LINES]
    trained = sum(row.course is not None for row in summary.rows)
    if not len(table) and not len(budget) and not shown:
        return None
    label = f"Loss and validated scores of {len(shown)} trainings against seconds of training and images"
    unlike = [f"{row.model}: {name}: {why}" for row in summary.rows for name, why in row.not_honoured.items()]
    return {
        "untrained": sentences.untrained(summary),
        "curves": svg(label, training_curves, shown) if shown else None,
        "left_out": max(0, trained - len(shown)),
        "table": table,
        "budget": budget,
        "notes": sentences.budget_notes(summary),
        "unlike": unlike,
        "self_reported": sentences.self_reported(summary),
    }
