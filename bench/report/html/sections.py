"""Sections that need little beside tables, sentences and pictures of the other forms; each None where it is empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.metric import load_metric
from bench.report import image_tables, search_tables, sentences, tables, training_tables
from bench.report.conclusion import conclusion
from bench.report.draw.curves import by_dataset, family_curves, probability_curves, robustness_curves
from bench.report.draw.pictures import accuracy_figure, accuracy_points
from bench.report.draw.recipes import parallel_coordinates, search_history
from bench.report.draw.training_curves import training_curves
from bench.report.draw.training_pictures import training_curves_of
from bench.report.facts import Facts
from bench.report.html.figures import svg
from bench.report.resources import resources_measured, resources_notes, resources_table
from bench.report.summary.searches import SearchSummary, search_coordinates
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import ParallelPlot, Sweep, coordinates_of, heat_map_of
from bench.report.text_table import TextTable
from bench.report.weights_table import weights_table

MOST_LINES, MOST_TRAININGS = 12, 21
"""Rows in one plot, and trainings."""

LINES, BYTES = 40, 8000
"""The end of a log that is shown."""

MOST_LOGS = 60
"""Logs that are shown; the table has all failures."""


def robustness(facts: Facts) -> dict[str, Any] | None:
    """Return what corrupted images and other data sets do to each model."""
    summary = facts.summary
    known = [one for one in summary.robustness if one.case_id in facts.name_of]
    if not known:
        return None
    plots = []
    for dataset, shown in by_dataset(known[:MOST_LINES], facts.name_of).items():
        curves = [(name, family_curves(one)) for name, one in shown]
        if any(of_family for _, of_family in curves):
            label = f"{summary.headline} by severity of each family of corruptions on {dataset}, {len(curves)} rows"
            drawing = svg(label, robustness_curves, curves, score_label=summary.headline_in_unit)
            plots.append((f"By severity on {dataset}, 0 = as they are: mean over the corruptions of a family", drawing))
    return {
        "table": image_tables.robustness_table(summary),
        "notes": image_tables.robustness_notes(summary),
        "plots": plots,
        "left_out": max(0, len(known) - MOST_LINES),
        "corruptions": image_tables.corruptions_table(summary),
        "natural": image_tables.natural_table(summary),
    }


def probabilities(facts: Facts) -> dict[str, Any] | None:
    """Return how far probabilities can be believed, and what the surest pixels and thresholds are worth."""
    known = [one for one in facts.summary.probabilities if one.case_id in facts.name_of]
    if not known:
        return None
    plots = []
    for dataset, curves in by_dataset(known[:MOST_LINES], facts.name_of).items():
        label = f"Reliability, risk and coverage, scores by threshold and precision by recall of {len(curves)} rows"
        drawing = svg(f"{label} on {dataset}", probability_curves, curves)
        plots.append((f"Reliability, risk and thresholds on {dataset}", drawing))
    return {
        "plots": plots,
        "left_out": max(0, len(known) - MOST_LINES),
        "thresholds": image_tables.thresholds_table(facts.summary),
        "notes": image_tables.probability_notes(facts.summary),
    }


def slices(facts: Facts) -> dict[str, Any] | None:
    """Return scores and latency by what images have in common, and the slice each model is worst on."""
    found = image_tables.slices_tables(facts.summary)
    worst, notes = image_tables.worst_slices_table(facts.summary), image_tables.slices_notes(facts.summary)
    return {"worst": worst, "tables": found, "notes": notes} if found else None


def training(facts: Facts) -> dict[str, Any] | None:
    """Return curves, recipes, and what the budget came to."""
    summary = facts.summary
    table, budget = training_tables.training_table(summary), training_tables.budget_table(summary)
    views = [facts.view_of(case_id) for case_id in facts.name_of if case_id in facts.samples]
    curves = training_curves_of([view for view in views if view is not None and view.train is not None])
    shown = curves[:MOST_TRAININGS]
    if not len(table) and not len(budget) and not shown:
        return None
    label = f"Loss and validated scores of {len(shown)} trainings against seconds of training and images"
    return {
        "untrained": sentences.untrained(summary),
        "curves": svg(label, training_curves, shown) if shown else None,
        "left_out": max(0, sum(row.course is not None for row in summary.rows) - len(shown)),
        "table": table,
        "budget": budget,
        "notes": sentences.budget_notes(summary),
        "unlike": sentences.not_honoured(summary),
        "self_reported": sentences.self_reported(summary),
    }


def resources(facts: Facts) -> dict[str, Any] | None:
    """Return memory, energy, operations and what a million images cost."""
    table, summary = resources_table(facts.summary), facts.summary
    told = {"table": table, "notes": resources_notes(summary), "measured": resources_measured(summary)}
    return told if len(table) else None


def method(facts: Facts) -> dict[str, Any]:
    """Return how and on which machine the run was measured, and the command that reproduces each row."""
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


# --------------------------------------------------------------------------- what was varied in recipes


def recipes(facts: Facts) -> dict[str, Any] | None:
    """Return sweeps as heat maps and parallel coordinates, and searches with their trials."""
    summary = facts.summary
    if not summary.sweeps and not summary.searches:
        return None
    return {
        "note": search_tables.SWEEPS_NOTE if summary.sweeps else "",
        "sweeps": [_sweep(summary, sweep) for sweep in summary.sweeps],
        "searches": [_search(one) for one in summary.searches],
        "overview": search_tables.searches_table(summary),
    }


def _sweep(summary: RunSummary, sweep: Sweep) -> dict[str, Any]:
    plot = coordinates_of(sweep, summary.headline_in_unit, higher_is_better=summary.higher_is_better)
    return {
        "title": sweep.title,
        "table": search_tables.sweeps_tables(summary)[f"Sweep of {sweep.title}"],
        "heat": _heat(summary, sweep),
        "plot": _parallel(plot, sweep.title),
    }


def _heat(summary: RunSummary, sweep: Sweep) -> dict[str, Any] | None:
    """Return the cells of a sweep of two fields, each with how far it is from the best, 0 to 1."""
    heat = heat_map_of(sweep)
    known = [value for line in heat or () for value in line if value is not None]
    if heat is None or not known:
        return None
    best, worst = (max(known), min(known)) if summary.higher_is_better else (min(known), max(known))

    def lost(value: float | None) -> float:
        return 0.0 if value is None or best == worst else abs(value - best) / abs(worst - best)

    return {
        "rows": sweep.fields[0],
        "column_field": sweep.fields[1],
        "columns": sweep.levels[1],
        "lines": [
            {"name": name, "values": [{"value": value, "lost": lost(value)} for value in line]}
            for name, line in zip(sweep.levels[0], heat, strict=True)
        ],
    }


def _search(one: SearchSummary) -> dict[str, Any]:
    score = f"{load_metric(one.metric).label} on validation"
    label = f"{score} of {len(one.trials)} trials of {one.name}"
    tried = any(trial.value is not None for trial in one.trials)
    return {
        "name": one.name,
        "notes": search_tables.search_notes(one),
        "table": search_tables.trials_table(one),
        "history": svg(label, search_history, one, score_label=score) if tried else None,
        "plot": _parallel(search_coordinates(one, score), one.name),
    }


def _parallel(plot: ParallelPlot | None, title: str) -> Markup | None:
    if plot is None:
        return None
    label = f"{title}: {len(plot.lines)} recipes over {', '.join(axis.name for axis in plot.axes)}"
    return svg(f"{label}; the best is {plot.lines[-1].name}", parallel_coordinates, plot, title=title)


# --------------------------------------------------------------------------- failures


def failures(facts: Facts) -> dict[str, Any] | None:
    """Return every job that did not end well, with the end of its log and the command that does it again."""
    summary = facts.summary
    if not summary.failures:
        return None
    shown = [
        {"name": f"{one.case_id}, {one.kind} r{one.replicate}: {one.status}", "text": excerpt(path), "file": one.log}
        for one in summary.failures[:MOST_LOGS]
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


def overview(facts: Facts) -> dict[str, Any]:
    """Return the sentences that answer the question, score against latency, and the table of all rows."""
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
