"""Slices: scores and latency by what images have in common, and the slice each model is worst on."""

from __future__ import annotations

from typing import Any

from bench.report.facts import Facts
from bench.report.slices_table import slices_notes, slices_tables, worst_slices_table

TITLE = "Slices"


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None without slices."""
    found = slices_tables(facts.summary)
    if not found:
        return None
    return {
        "worst": worst_slices_table(facts.summary),
        "tables": found,
        "notes": slices_notes(facts.summary),
    }
