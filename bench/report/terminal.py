"""The report on a terminal: the table, what it says, and what to look at."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from tabulate import tabulate

from bench.report import sentences, tables
from bench.report.conclusion import conclusion
from bench.report.image_tables import robustness_table
from bench.report.resources import resources_table
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable
from bench.report.throughput import scenarios_table
from bench.report.training_tables import folds_note, folds_table

FIRST = 1
"""Columns that every part of a split table begins with: the model."""


def render(summary: RunSummary) -> str:
    """Return the headline table with its conclusion, as plain text.

    On a terminal, or where COLUMNS is set, nothing is wider than it but commands, which are to be pasted.
    """
    width = _width()
    resources, loads, folds = resources_table(summary, brief=True), scenarios_table(summary), folds_table(summary)
    parts = [
        summary.title,
        _fitted(tables.results_table(summary), width),
        "\n".join(_wrapped(line.replace("**", "").replace("`", ""), width) for line in conclusion(summary)),
    ]
    if len(folds):
        parts += [_fitted(folds, width), _wrapped(folds_note(summary), width)]
    parts += [_fitted(frame, width) for frame in (robustness_table(summary), resources, loads) if len(frame)]
    doubts = sentences.doubts(summary)
    if doubts:
        parts.append("\n".join(_wrapped(f"note: {line}", width) for line in doubts))
    for failure in summary.failures:
        said = _wrapped(f"{failure.case_id}: {failure.kind} {failure.status}: {failure.reason}", width)
        parts.append(f"{said}\n  {failure.command}")
    last = "a (b–c): value and 95 % interval. Details, pictures and how it was measured are in report.md."
    return "\n\n".join([*parts, _wrapped(last, width)])


def _width() -> int | None:
    """Return columns of the terminal; None where the text goes elsewhere and no width is asked for."""
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()):
        return None
    return max(40, shutil.get_terminal_size().columns)


def _wrapped(line: str, width: int | None) -> str:
    if width is None:
        return line
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _fitted(frame: TextTable, width: int | None) -> str:
    """Return the table; where it is too wide, with intervals below their values, then in parts below each other."""
    whole = _laid_out(frame.columns, frame.rows)
    if width is None or _widest(whole) <= width:
        return whole
    heads, longest = [_broken(name) for name in frame.columns], max(20, width // 4)
    rows = [
        [
            textwrap.fill(str(row[0]), longest, break_on_hyphens=False),
            *(re.sub(r" (?=[(\[])", "\n", str(cell)) for cell in row[1:]),
        ]
        for row in frame.rows
    ]

    def part(columns: list[int]) -> str:
        return _laid_out([heads[c] for c in columns], [[row[c] for c in columns] for row in rows])

    parts: list[str] = []
    columns = list(range(FIRST))
    for column in range(FIRST, len(heads)):
        if len(columns) > FIRST and _widest(part([*columns, column])) > width:
            parts.append(part(columns))
            columns = list(range(FIRST))
        columns.append(column)
    return "\n\n".join([*parts, part(columns)])


def _broken(heading: str) -> str:
    """Return a heading in lines of a word or two, as narrow as its longest word allows.

    >>> _broken("end-to-end p50 ms/image")
    'end-to-end\\np50\\nms/image'
    """
    return "\n".join(textwrap.wrap(heading, max(8, *map(len, heading.split())), break_on_hyphens=False))


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def _laid_out(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = [name.replace(" ms/image", "\nms/image").replace(" images/s", "\nimages/s") for name in columns]
    cells = [[str(value) for value in row] for row in rows]
    return str(tabulate(cells, headers=heads, tablefmt="simple", disable_numparse=True))
