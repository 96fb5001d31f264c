"""Draws what was varied in recipes: heat maps of two fields, parallel coordinates of more, the course of a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.metric import load_metric
from bench.records.store import layout
from bench.report.draw.figure import COLOURS, GREY, draw, shortened, tell
from bench.report.draw.numbers import values_in_words
from bench.report.summary.searches import SearchSummary, search_coordinates
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import ParallelPlot, coordinates_of, heat_map_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOUR_MAP = "viridis"
"""Even to the eye, also in grey and to the colour-blind; values are written besides."""
LONGEST = 22
DARK = 0.55


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
            path, how = folder / _named(HEAT, sweep.title), {"score_label": score, "title": sweep.title}
            drawn.append(draw(path, heat_map, heat, rows=rows, columns=columns, **how))
        plot = coordinates_of(sweep, score, higher_is_better=summary.higher_is_better)
        if plot is not None:
            drawn.append(draw(folder / _named(PARALLEL, sweep.title), parallel_coordinates, plot, title=sweep.title))
    return drawn


def _searches(summary: RunSummary, folder: Path) -> list[Path]:
    drawn = []
    for search in summary.searches:
        score = f"{load_metric(search.metric).label} on validation"
        if any(trial.value is not None for trial in search.trials):
            drawn.append(draw(folder / _named(HISTORY, search.name), search_history, search, score_label=score))
        plot = search_coordinates(search, score)
        if plot is not None:
            drawn.append(draw(folder / _named(RECIPES, search.name), parallel_coordinates, plot, title=search.name))
    return drawn


def _named(kind: str, title: str) -> str:
    return f"{kind}@{layout.plain_name(title)}.png"


def heat_map(
    values: Sequence[Sequence[float | None]],
    *,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    score_label: str,
    title: str,
) -> Figure:
    """Return the scores of a sweep of two fields, each given with its name and its values.

    `values` has a list for each value of the first field, with None where there is no score.
    """
    from matplotlib.figure import Figure

    known = np.array([[np.nan if value is None else value for value in line] for line in values], dtype=np.float64)
    figure = Figure(figsize=(2.6 + 0.95 * known.shape[1], 1.7 + 0.5 * known.shape[0]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(known, cmap=COLOUR_MAP, aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(known.shape[1]), [shortened(text, LONGEST) for text in columns[1]], rotation=20, ha="right")
    axes.set_yticks(range(known.shape[0]), [shortened(text, LONGEST) for text in rows[1]])
    axes.set_xlabel(columns[0])
    axes.set_ylabel(rows[0])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    for (row, column), value in np.ndenumerate(known):
        share = 0.5 if high == low else (value - low) / (high - low)
        ink = "black" if np.isnan(value) or share > DARK else "white"
        axes.text(
            column, row, "–" if np.isnan(value) else f"{value:.3f}", ha="center", va="center", color=ink, fontsize=8
        )
    figure.colorbar(image, ax=axes, label=score_label)
    axes.set_title(shortened(title, 60), color=GREY)
    return figure


def parallel_coordinates(plot: ParallelPlot, *, title: str) -> Figure:
    """Return parallel coordinates; the better a recipe, the lighter and the later it is drawn."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5.0, 1.9 * len(plot.axes)), 4.2), layout="constrained")
    axes = figure.subplots()
    colours, places = mpl.colormaps[COLOUR_MAP], range(len(plot.axes))
    for line in plot.lines:
        axes.plot(places, line.places, color=colours(0.95 * line.good), linewidth=1.2, alpha=0.8)
    best = plot.lines[-1]
    axes.plot(
        places, best.places, color=COLOURS[1], linewidth=2.4, marker="o", label=f"best: {shortened(best.name, 70)}"
    )
    for place, axis in enumerate(plot.axes):
        axes.axvline(place, color=GREY, linewidth=0.8, zorder=0)
        for at, text in axis.ticks:
            axes.annotate(
                shortened(text, LONGEST), (place, at), xytext=(3, 2), textcoords="offset points", fontsize=7.5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )  # fmt: skip
    axes.set_xticks(places, [axis.name for axis in plot.axes])
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.1)
    axes.set_xlim(-0.1, len(plot.axes) - 1 + 0.45)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_title(shortened(title, 80), color=GREY)
    figure.legend(loc="outside lower center")
    return figure


def search_history(search: SearchSummary, *, score_label: str) -> Figure:
    """Return the course of a search: every trial, and the best so far."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    looks = {"complete": ("o", COLOURS[0], "complete"), "pruned": ("x", COLOURS[1], "pruned, at its last validation")}
    for state, (marker, colour, label) in looks.items():
        shown = [one for one in search.trials if one.state == state and one.value is not None]
        for one in shown:
            told = label if one is shown[0] else None
            (drawn,) = axes.plot(
                one.number, one.value or 0.0, marker=marker, color=colour, linestyle="none", label=told
            )
            tell(drawn, f"trial {one.number}: {state}, {values_in_words(one.values)}")
    so_far = [one for one in search.trials if one.best_so_far is not None]
    if so_far:
        axes.step(
            [one.number for one in so_far], [one.best_so_far or 0.0 for one in so_far], where="post", color=COLOURS[2],
            linewidth=1.4, label="best so far",
        )  # fmt: skip
    failed = [one.number for one in search.trials if one.state == "failed"]
    for number in failed:
        axes.axvline(number, color=GREY, linestyle=":", linewidth=1, label="failed" if number == failed[0] else None)
    axes.set_xlabel("trial")
    axes.set_ylabel(score_label)
    axes.set_title(shortened(search.name, 80), color=GREY)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=4)
    return figure
