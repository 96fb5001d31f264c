"""Describes how and on which machine a run was measured, and the command that reproduces each row."""

from __future__ import annotations

from typing import Any

from bench.report import sentences, tables
from bench.report.facts import Facts
from bench.report.text_table import TextTable
from bench.report.weights_table import weights_table

TITLE = "How it was measured"


def section(facts: Facts) -> dict[str, Any]:
    """Return what the template shows."""
    summary = facts.summary
    return {
        "measured": sentences.how_measured(summary),
        "weights": weights_table(summary),
        "origins": tables.origins_table(summary),
        "origins_note": sentences.origins_note(summary),
        "environment": sentences.environment_lines(summary),
        "notes": sentences.footnotes(summary),
        "commands": TextTable(
            [{"row": facts.name_of[row.case_id], "command": facts.command_of(row.case_id)} for row in summary.rows]
        ),
    }
