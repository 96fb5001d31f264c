"""The report as markdown: the answer first, then pictures, details, failures, and how it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from bench.report import tables, words
from bench.report.summary import RunSummary

if TYPE_CHECKING:
    import pandas as pd

PICTURES = {
    "accuracy_latency.png": "Score against end-to-end latency, with 95 % intervals and the Pareto front",
    "stage_times.png": "Where the time goes: medians of the staged clock",
    "training_curves.png": "Loss and validation mIoU against training seconds",
    "contact_sheet.png": "Image, truth and each model's prediction, on images where the models disagree most",
}
"""File name -> caption, in the order of the report."""


def render(summary: RunSummary, pictures: Sequence[str] = (), left_out: Sequence[str] = ()) -> str:
    """Return the report.

    Args:
        summary: What it says.
        pictures: Names of the pictures that lie beside it, in order.
        left_out: Pictures that could not be drawn, each with the reason.
    """
    parts = [
        f"# {summary.title}",
        f"`{summary.source}`, run {summary.run}"
        + _constant(summary, "dataset", "data set")
        + _constant(summary, "target", "target"),
        _bullets(words.conclusion(summary)),
        _table(tables.results_table(summary)),
        "`a (b–c)`: value and 95 % interval; every column is explained in the [notes](#notes)." if summary.rows else "",
        *_doubts(summary),
        *(f"![{_caption(name)}]({name})\n\n*{_caption(name)}.*" for name in pictures),
        *(f"Not drawn: {reason}" for reason in left_out),
        *_section("Scores", tables.scores_table(summary)),
        _bullets(words.reductions(summary)),
        *(part for heading, frame in tables.parts_tables(summary).items() for part in _section(heading, frame)),
        *_section(f"{summary.headline} per class (0–1)", tables.classes_table(summary)),
        *_section("Against the best", tables.comparisons_table(summary)),
        *_section(
            "Where the time goes, per image (staged clock; median unless said otherwise)", tables.stages_table(summary)
        ),
        _bullets(words.fused_stages(summary)),
        *_section("Training", tables.training_table(summary)),
        *_self_reported(summary),
        *_section("Failures", tables.failures_table(summary), code="run it again"),
        *_unlike(summary),
        "## How it was measured",
        _bullets(words.how_measured(summary)),
        "## Environment",
        _bullets(words.environment_lines(summary)),
        "## Notes",
        _bullets(words.footnotes(summary)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _constant(summary: RunSummary, field: str, name: str) -> str:
    values = {getattr(row, field) for row in summary.rows}
    return f" · {name} {values.pop()}" if len(values) == 1 else ""


def _caption(picture: str) -> str:
    """Caption of a picture; one drawn per data set has its name behind that of the first."""
    stem, _, dataset = picture.removesuffix(".png").partition("@")
    return PICTURES[f"{stem}.png"] + (f" ({dataset})" if dataset else "")


def _doubts(summary: RunSummary) -> list[str]:
    lines = words.doubts(summary)
    return ["Reasons behind the verdicts:", _bullets(lines)] if lines else []


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _section(heading: str, frame: pd.DataFrame, code: str = "") -> list[str]:
    return [f"## {heading}", _table(frame, code)] if len(frame) else []


def _self_reported(summary: RunSummary) -> list[str]:
    """A framework's own figures: other images, other sizes, other definitions."""
    lines = words.self_reported(summary)
    heading = "## What the frameworks report of their own training (not comparable with the scores above)"
    return [heading, _bullets(lines)] if lines else []


def _unlike(summary: RunSummary) -> list[str]:
    """Recipe fields that a framework could not honour: what makes a comparison less alike."""
    lines = [f"- {row.model}: {name}: {why}" for row in summary.rows for name, why in row.not_honoured.items()]
    return ["## Recipe fields not honoured", "\n".join(lines)] if lines else []


def _table(frame: pd.DataFrame, code: str = "") -> str:
    """The frame as a markdown table; the column `code` holds commands."""
    if not len(frame):
        return ""
    cells = {name: [_cell(text, name == code) for text in frame[name]] for name in frame.columns}
    return str(tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True))


def _cell(text: str, is_code: bool) -> str:
    """Text that stays in its cell: a reason may hold anything, a message of a framework for example."""
    line = " ".join(str(text).split()).replace("|", r"\|")
    return f"`{line}`" if is_code else line.replace("&", "&amp;").replace("<", "&lt;")
