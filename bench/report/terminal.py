"""The report on a terminal: the table, what it says, and what to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from bench.report import sentences, tables
from bench.report.conclusion import conclusion
from bench.report.folds_table import folds_note, folds_table
from bench.report.resources import resources_table
from bench.report.summary.summarise import RunSummary
from bench.report.throughput import scenarios_table

if TYPE_CHECKING:
    import pandas as pd


def render(summary: RunSummary) -> str:
    """Return the headline table with its conclusion, as plain text."""
    frame = tables.results_table(summary)
    headers = [name.replace(" ms/image", "\nms/image").replace(" images/s", "\nimages/s") for name in frame.columns]
    parts = [
        summary.title,
        _table(frame, headers),
        "\n".join(line.replace("**", "").replace("`", "") for line in conclusion(summary)),
    ]
    folds = folds_table(summary)
    if len(folds):
        parts += [_table(folds, list(folds.columns)), folds_note(summary)]
    resources = resources_table(summary, brief=True)
    if len(resources):
        parts.append(_table(resources, list(resources.columns)))
    loads = scenarios_table(summary)
    if len(loads):
        parts.append(_table(loads, list(loads.columns)))
    doubts = sentences.doubts(summary)
    if doubts:
        parts.append("\n".join(f"note: {line}" for line in doubts))
    for failure in summary.failures:
        parts.append(f"{failure.case_id}: {failure.kind} {failure.status}: {failure.reason}\n  {failure.command}")
    parts.append("a (b–c): value and 95 % interval. Details, pictures and how it was measured are in report.md.")
    return "\n\n".join(parts)


def _table(frame: pd.DataFrame, headers: list[str]) -> str:
    rows = [[str(value) for value in row] for row in frame.itertuples(index=False)]
    return str(tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True))
