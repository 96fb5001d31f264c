"""Cells that several tables of a report share, as text."""

from __future__ import annotations

from bench.records import Score
from bench.report.draw.numbers import MISSING, with_interval
from bench.report.summary.rows import Row


def yes_or_no(value: bool | None) -> str:
    """Return the word for a truth value; a dash where it is not known."""
    return MISSING if value is None else "yes" if value else "no"


def headline_cell(row: Row) -> str:
    """Return the headline score of a row with its interval."""
    return score_cell(row.headline) if row.headline else MISSING


def score_cell(score: Score) -> str:
    """Return a score with its interval, or why it is undefined."""
    if score.value is None:
        return f"undefined: {score.undefined_because}"
    return with_interval(score.value, score.low, score.high, default=3)
