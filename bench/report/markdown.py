"""The report as markdown: the answer first, then pictures, details, failures, and how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def render(summary: RunSummary, pictures: tuple[str, ...] = ()) -> str:
    """Return the report.

    Args:
        summary: What it says.
        pictures: Names of the pictures that lie beside it.
    """
    parts = [
        f"# {summary.title}",
        f"`{summary.source}`, run {summary.run}"
        + _constant(summary, "dataset", "data set")
        + _constant(summary, "target", "target"),
        "\n".join(f"- {line}" for line in words.conclusion(summary)),
        _table(tables.results_table(summary)),
        *_notes(summary),
        *(f"![{PICTURES[name]}]({name})\n\n*{PICTURES[name]}.*" for name in PICTURES if name in pictures),
        *_section("Scores", tables.scores_table(summary)),
        *_section(f"{summary.headline} per class (0–1)", tables.classes_table(summary)),
        *_section(
            "Where the time goes, per image (staged clock; median unless said otherwise)", tables.stages_table(summary)
        ),
        *_section("Training", tables.training_table(summary)),
        *_section("Failures", tables.failures_table(summary)),
        *_unlike(summary),
        "## How it was measured",
        "\n".join(f"- {line}" for line in words.how_measured(summary)),
        "## Environment",
        "\n".join(f"- {line}" for line in words.environment_lines(summary)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _constant(summary: RunSummary, field: str, name: str) -> str:
    values = {getattr(row, field) for row in summary.rows}
    return f" · {name} {values.pop()}" if len(values) == 1 else ""


def _notes(summary: RunSummary) -> list[str]:
    doubts = [f"- {line}" for line in words.doubts(summary)]
    notes = ["<sub>" + "<br>".join(words.footnotes(summary)) + "</sub>"]
    return ["Reasons behind the verdicts:\n\n" + "\n".join(doubts), *notes] if doubts else notes


def _section(heading: str, frame: pd.DataFrame) -> list[str]:
    return [f"## {heading}", _table(frame)] if len(frame) else []


def _unlike(summary: RunSummary) -> list[str]:
    """Recipe fields that a framework could not honour: what makes a comparison less alike."""
    lines = [f"- {row.model}: {name}: {why}" for row in summary.rows for name, why in row.not_honoured.items()]
    return ["## Recipe fields not honoured", "\n".join(lines)] if lines else []


def _table(frame: pd.DataFrame) -> str:
    if not len(frame):
        return ""
    return str(frame.to_markdown(index=False, disable_numparse=True))
