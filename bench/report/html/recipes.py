"""Shows what was varied in recipes: sweeps as heat maps and parallel coordinates, searches with their trials."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from bench.metric import load_metric
from bench.report import search_tables
from bench.report.draw.recipes import parallel_coordinates, search_history
from bench.report.facts import Facts
from bench.report.html.figures import svg
from bench.report.summary.coordinates import ParallelPlot
from bench.report.summary.searches import SearchSummary, search_coordinates
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import Sweep, coordinates_of, heat_map_of

TITLE = "Recipes"


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was varied."""
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
        "plot": None if plot is None else _parallel(plot, sweep.title),
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
    plot = search_coordinates(one, score)
    return {
        "name": one.name,
        "notes": search_tables.search_notes(one),
        "table": search_tables.trials_table(one),
        "history": _history(one, score),
        "plot": None if plot is None else _parallel(plot, one.name),
    }


def _parallel(plot: ParallelPlot, title: str) -> Markup:
    label = f"{title}: {len(plot.lines)} recipes over {', '.join(axis.name for axis in plot.axes)}"
    return svg(f"{label}; the best is {plot.lines[-1].name}", parallel_coordinates, plot, title=title)


def _history(one: SearchSummary, score: str) -> Markup | None:
    if all(trial.value is None for trial in one.trials):
        return None
    return svg(f"{score} of {len(one.trials)} trials of {one.name}", search_history, one, score_label=score)
