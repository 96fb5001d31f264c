"""Cells that several tables of a report share, as text."""

from __future__ import annotations

from bench.records import Score
from bench.report.draw.numbers import MISSING, with_interval
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary


def case_columns(summary: RunSummary, row: Row) -> dict[str, str]:
    """Return the columns that name a row; those in which all rows agree are left to the heading."""
    names = {"model": row.model}
    if summary.several_datasets:
        names["data set"] = row.dataset
    if summary.several_targets:
        names["target"] = row.target
    return names


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
