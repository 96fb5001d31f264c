"""Shows what was varied in recipes: sweeps as heat maps and parallel coordinates, searches with their trials."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from bench.metric import load_metric
from bench.report import search_tables
from bench.report.facts import Facts
from bench.report.html import svg
from bench.report.summary.coordinates import ParallelAxis, ParallelLine, ParallelPlot
from bench.report.summary.searches import SearchSummary, search_coordinates
from bench.report.summary.summarise import RunSummary
from bench.report.summary.sweeps import Sweep, coordinates_of, heat_map_of

TITLE = "Recipes"

WIDTH, TOP, BOTTOM, LEFT, RIGHT = 860.0, 34.0, 300.0, 40.0, 730.0
LONGEST = 20


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
        "plot": None if plot is None else parallel(plot, sweep.title),
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
        "history": history(one, score),
        "plot": None if plot is None else parallel(plot, one.name),
    }


def parallel(plot: ParallelPlot, title: str) -> Markup:
    """Draw parallel coordinates: the better a recipe, the stronger its line; the best has a colour and dots."""
    last = max(1, len(plot.axes) - 1)
    xs = [LEFT + (RIGHT - LEFT) * n / last for n in range(len(plot.axes))]
    parts = [_line(line, xs, best=False) for line in plot.lines[:-1]]
    parts += [_axis(axis, x) for axis, x in zip(plot.axes, xs, strict=True)]
    parts += [_line(plot.lines[-1], xs, best=True)]
    best = plot.lines[-1].name
    parts += [svg.tag("text", f"best: {best[:110]}", x=LEFT, y=BOTTOM + 24, class_="name")]
    label = f"{title}: {len(plot.lines)} recipes over {', '.join(axis.name for axis in plot.axes)}; the best is {best}"
    return svg.picture(WIDTH, BOTTOM + 36, label, *parts)


def _height(place: float) -> float:
    return BOTTOM + (TOP - BOTTOM) * place


def _line(line: ParallelLine, xs: list[float], *, best: bool) -> Markup:
    points = [(x, _height(place)) for x, place in zip(xs, line.places, strict=True)]
    if not best:
        strength = f"{0.2 + 0.6 * line.good:.2f}"
        return svg.line(points, stroke="var(--c0)", stroke_opacity=strength, stroke_width=1.2)
    dots = [svg.tag("circle", cx=x, cy=y, r=3.5, fill="var(--c1)") for x, y in points]
    return Markup("").join([svg.line(points, stroke="var(--c1)", stroke_width=2.4), *dots])


def _axis(axis: ParallelAxis, x: float) -> Markup:
    parts = [
        svg.tag("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, stroke="var(--muted)"),
        svg.tag("text", axis.name[:LONGEST], x=x, y=TOP - 14, text_anchor="middle", class_="label"),
    ]
    parts += [
        svg.tag("text", text[:LONGEST], x=x + 5, y=_height(place) + 4, class_="name") for place, text in axis.ticks
    ]
    return Markup("").join(parts)


def history(one: SearchSummary, score: str) -> Markup | None:
    """Draw every trial of a search and the best so far; pruned ones at their last validation, failed ones as lines."""
    known = [trial for trial in one.trials if trial.value is not None]
    if not known:
        return None
    values = [trial.value or 0.0 for trial in known]
    x = svg.Axis(0.0, max(2.0, len(one.trials) + 1.0), LEFT + 22, WIDTH - 12)
    y = svg.Axis(*svg.around(values), 232.0, 10.0)
    parts = [svg.horizontal(x, 232.0, 10.0, "trial"), svg.vertical(y, LEFT + 22, WIDTH - 12, score)]
    steps: list[tuple[float, float]] = []
    for trial in one.trials:
        if trial.best_so_far is not None:
            height = y.at(trial.best_so_far)
            steps += [(x.at(trial.number), steps[-1][1])] if steps else []
            steps.append((x.at(trial.number), height))
    parts += [svg.line(steps, stroke="var(--c2)", stroke_width=1.5)] if len(steps) > 1 else []
    for trial in one.trials:
        told = f"trial {trial.number}: {trial.state}, {search_tables.values_in_words(trial.values)}"
        if trial.value is not None:
            position = 0 if trial.state == "complete" else 6
            parts.append(
                svg.marker(position, x.at(trial.number), y.at(trial.value), svg.tag("title", told), class_="point")
            )
        elif trial.state == "failed":
            at = x.at(trial.number)
            parts.append(svg.tag("line", svg.tag("title", told), x1=at, x2=at, y1=232.0, y2=10.0, class_="grid"))
    legend = ((0, "complete"), (6, "pruned, at its last validation"))
    for place, (position, text) in enumerate(legend):
        left = LEFT + 32 + 150 * place
        parts += [svg.marker(position, left, 286.0), svg.tag("text", text, x=left + 12, y=290.0, class_="name")]
    parts.append(svg.tag("text", "line: best so far", x=LEFT + 450, y=290.0, class_="name"))
    return svg.picture(WIDTH, 300.0, f"{score} of {len(one.trials)} trials of {one.name}", *parts)
