"""Chooses the pictures of sweeps and searches that a run gives."""

from __future__ import annotations

from pathlib import Path

from bench.metric import load_metric
from bench.records.store import layout
from bench.report.draw.figure import draw
from bench.report.draw.recipes import heat_map, parallel_coordinates, search_history
from bench.report.summary.searches import search_coordinates
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import coordinates_of, heat_map_of

HEAT, PARALLEL, HISTORY, RECIPES = "sweep_heat_map", "sweep_coordinates", "search_history", "search_coordinates"


def draw_recipes(summary: RunSummary, folder: Path) -> list[Path]:
    """Draw a picture of each sweep of two fields or more that has two scores, and two of each search."""
    return [*_sweeps(summary, folder), *_searches(summary, folder)]


def _sweeps(summary: RunSummary, folder: Path) -> list[Path]:
    drawn = []
    for sweep in summary.sweeps:
        heat, score = heat_map_of(sweep), summary.headline_in_unit
        if heat is not None and sum(value is not None for line in heat for value in line) > 1:
            rows, columns = zip(sweep.fields, sweep.levels, strict=True)
            drawn.append(folder / _named(HEAT, sweep.title))
            draw(drawn[-1], heat_map, heat, rows=rows, columns=columns, score_label=score, title=sweep.title)
        plot = coordinates_of(sweep, score, higher_is_better=summary.higher_is_better)
        if plot is not None:
            drawn.append(folder / _named(PARALLEL, sweep.title))
            draw(drawn[-1], parallel_coordinates, plot, title=sweep.title)
    return drawn


def _searches(summary: RunSummary, folder: Path) -> list[Path]:
    drawn = []
    for search in summary.searches:
        score = f"{load_metric(search.metric).label} on validation"
        if any(trial.value is not None for trial in search.trials):
            drawn.append(folder / _named(HISTORY, search.name))
            draw(drawn[-1], search_history, search, score_label=score)
        plot = search_coordinates(search, score)
        if plot is not None:
            drawn.append(folder / _named(RECIPES, search.name))
            draw(drawn[-1], parallel_coordinates, plot, title=search.name)
    return drawn


def _named(kind: str, title: str) -> str:
    return f"{kind}@{layout.plain_name(title)}.png"
