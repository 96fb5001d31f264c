"""Overview: the sentences that answer the question, score against latency, and the table of all rows."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from bench.report import sentences, tables
from bench.report.conclusion import conclusion
from bench.report.draw.pictures import accuracy_figure, accuracy_points
from bench.report.facts import Facts
from bench.report.html.figures import svg
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable


def section(facts: Facts) -> dict[str, Any]:
    """Return what the template of the overview shows."""
    summary = facts.summary
    table = tables.results_table(summary, means=False)
    return {
        "conclusion": conclusion(summary),
        "doubts": sentences.doubts(summary),
        "columns": table.columns,
        "lines": model_lines(summary, table),
        "plot": pareto(facts),
        "left_out": facts.left_out,
        "shown": len(summary.rows) - facts.left_out,
    }


def model_lines(summary: RunSummary, table: TextTable) -> list[dict[str, Any]]:
    """Return the rows of the overview: one for each model, the mean over its seeds with the seeds below it.

    Each has its cells, whether it is a seed that stands below its mean, and the place of its row, to which the plot
    points; None of a mean.
    """
    cells = table.rows
    position = {row.case_id: number for number, row in enumerate(summary.rows)}
    group_of = {case_id: group for group in summary.seed_groups for case_id in group.case_ids}
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(summary.rows):
        group = group_of.get(row.case_id)
        if group is None:
            lines.append({"cells": cells[number], "seed": False, "place": number})
        elif row.case_id == group.case_ids[0]:
            over = tables.mean_row(summary, group)
            lines.append({"cells": [over.get(name, "") for name in table.columns], "seed": False, "place": None})
            of_seeds = [position[case_id] for case_id in group.case_ids]
            lines += [{"cells": cells[seed], "seed": True, "place": seed} for seed in of_seeds]
    return lines


def pareto(facts: Facts) -> Markup | None:
    """Draw score against latency with the 95 % intervals of both, and the Pareto front."""
    summary, points = facts.summary, accuracy_points(facts.summary)
    if not points:
        return None
    optimal = ", ".join(p.label for p in points if p.pareto_optimal)
    label = (
        f"{summary.headline} against end-to-end latency of {len(points)} rows. Pareto-optimal: {optimal or 'none'}. "
        "The table below has the same numbers."
    )
    return svg(label, accuracy_figure, summary, points)
