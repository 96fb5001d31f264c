"""Draws what was varied in recipes: heat maps of two fields, parallel coordinates of more, the course of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.report.draw.figure import COLOURS, GREY, shortened
from bench.report.summary.coordinates import ParallelPlot
from bench.report.summary.searches import SearchSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOUR_MAP = "viridis"
"""Even to the eye, also in grey and to the colour-blind; values are written besides."""
LONGEST = 22
DARK = 0.55


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
        if shown:
            axes.plot(
                [one.number for one in shown], [one.value or 0.0 for one in shown], marker=marker, color=colour,
                linestyle="none", label=label,
            )  # fmt: skip
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
