"""Failures: every job that did not end well, with the end of its log and the command that does it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report import tables
from bench.report.facts import Facts

TITLE = "Failures"

LINES, BYTES = 40, 8000
"""The end of a log that is shown."""

MOST = 60
"""Logs that are shown; the table has all failures."""


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where all went well."""
    summary = facts.summary
    if not summary.failures:
        return None
    shown = [
        {"name": f"{one.case_id}, {one.kind} r{one.replicate}: {one.status}", "text": excerpt(path), "file": one.log}
        for one in summary.failures[:MOST]
        if (path := facts.file(one.log)) is not None
    ]
    return {
        "table": tables.failures_table(summary),
        "logs": [one for one in shown if one["text"]],
        "unfinished": [row.case_id for row in summary.rows if row.status == "unfinished"],
    }


def excerpt(path: Path) -> str:
    """Return the last lines of a log, whatever is in it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = text.splitlines()[-LINES:]
    readable = ["".join(c if c.isprintable() or c == "\t" else "�" for c in line) for line in lines]
    return "\n".join(readable).strip()
