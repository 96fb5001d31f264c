"""Resources: memory, energy, operations and what a million images cost."""

from __future__ import annotations

from typing import Any

from bench.report.facts import Facts
from bench.report.resources import resources_measured, resources_notes, resources_table

TITLE = "Resources"


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was measured beside time."""
    table = resources_table(facts.summary)
    if not len(table):
        return None
    return {
        "table": table,
        "notes": resources_notes(facts.summary),
        "measured": resources_measured(facts.summary),
    }
