"""Overview: the sentences that answer the question, score against latency, and the table of all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from bench.report import sentences, tables
from bench.report.conclusion import conclusion
from bench.report.draw.numbers import milliseconds, share_of, with_interval
from bench.report.draw.text_places import Anchor, Box, place
from bench.report.facts import Facts
from bench.report.html import svg
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

TITLE = "Overview"

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860.0, 430.0, 62.0, 386.0, 12.0, 848.0
NAMED = 10
"""Most points that are named in the plot; of more, only Pareto-optimal ones. Each shows its name when pointed to."""

LOG_ABOVE = 8.0


@dataclass(frozen=True)
class Point:
    """A row in the plot; intervals are the value itself where there is none."""

    position: int
    name: str
    score: tuple[float, float, float]
    latency: tuple[float, float, float]
    optimal: bool
    probability: float | None
    group: str


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


def points_of(rows: Sequence[Row], names: Sequence[str]) -> list[Point]:
    """Return a point for every row with a score and a latency."""
    found = []
    for position, (row, name) in enumerate(zip(rows, names, strict=True)):
        timing, score = (row.latency.end_to_end_at(50.0) if row.latency else None), row.headline
        if timing is None or not timing.ms_per_image or score is None or score.value is None:
            continue
        value, ms = score.value, timing.ms_per_image
        found.append(
            Point(
                position,
                name,
                _ends(value, score.low, score.high),
                _ends(ms, timing.ms_per_image_low, timing.ms_per_image_high),
                bool(row.pareto_optimal),
                row.pareto_probability,
                f"{row.dataset} {row.target.split()[0]}",
            )
        )
    return found


def _ends(value: float, low: float | None, high: float | None) -> tuple[float, float, float]:
    return value, value if low is None else low, value if high is None else high


def pareto(facts: Facts) -> Markup | None:
    """Draw score against latency: a box of both 95 % intervals around each point, and the Pareto front."""
    summary = facts.summary
    points = points_of(summary.rows, facts.names)
    if not points:
        return None
    shortest, longest = min(p.latency[1] for p in points), max(p.latency[2] for p in points)
    log = shortest > 0 and longest > LOG_ABOVE * shortest
    ends = (shortest / 1.15, longest * 1.15) if log else svg.around([shortest, longest], share=0.08)
    x = svg.Axis(max(ends[0], 0.0) if not log else ends[0], ends[1], LEFT, RIGHT, log)
    y = svg.Axis(*svg.around([v for p in points for v in p.score], share=0.1), BOTTOM, TOP)
    fronts = _fronts(points, x, y, summary.higher_is_better)
    optimal = ", ".join(p.name for p in points if p.optimal)
    return svg.picture(
        WIDTH,
        HEIGHT,
        f"{summary.headline} against end-to-end latency of {len(points)} rows. Pareto-optimal: {optimal or 'none'}. "
        "The table below has the same numbers.",
        svg.horizontal(x, BOTTOM, TOP, f"end-to-end latency, median, ms per image{', logarithmic' * log}"),
        svg.vertical(y, LEFT, RIGHT, f"{summary.headline}"),
        *(svg.line(front, class_="front") for front in fronts),
        *(_box(p, x, y) for p in points),
        *(_marker(p, x, y, summary.headline) for p in points),
        *_labels(points, x, y, fronts),
    )


def _fronts(
    points: Sequence[Point], x: svg.Axis, y: svg.Axis, higher_is_better: bool
) -> list[list[tuple[float, float]]]:
    """Return what is attainable in each group: at a latency, the best score of the points left of it; pixels."""
    found = []
    for group in dict.fromkeys(p.group for p in points if p.optimal):
        best = sorted((x.at(p.latency[0]), y.at(p.score[0])) for p in points if p.optimal and p.group == group)
        steps = [(best[0][0], BOTTOM if higher_is_better else TOP), best[0]]
        for (_, before), (right, after) in pairwise(best):
            steps += [(right, before), (right, after)]
        found.append([*steps, (RIGHT, best[-1][1])])
    return found


def _box(p: Point, x: svg.Axis, y: svg.Axis) -> Markup:
    left, right, top, bottom = x.at(p.latency[1]), x.at(p.latency[2]), y.at(p.score[2]), y.at(p.score[1])
    colour = f"var(--c{p.position % svg.COLOURS})"
    return svg.tag(
        "rect",
        x=min(left, right),
        y=min(top, bottom),
        width=max(1.0, right - left),
        height=max(1.0, abs(bottom - top)),
        fill=colour,
        stroke=colour,
        class_="uncertain",
    )


def _marker(p: Point, x: svg.Axis, y: svg.Axis, headline: str) -> Markup:
    share = "" if p.probability is None else f", on the front in {share_of(p.probability)} of the resamples"
    told = (
        f"{p.name}: {headline} {with_interval(*p.score, default=3)}, {milliseconds(p.latency[0])} ms "
        f"({milliseconds(p.latency[1])}–{milliseconds(p.latency[2])}){share}"
    )
    place_x, place_y = x.at(p.latency[0]), y.at(p.score[0])
    return svg.marker(p.position, place_x, place_y, svg.tag("title", told), class_="point", data_optimal=p.optimal)


def _labels(
    points: Sequence[Point], x: svg.Axis, y: svg.Axis, fronts: Sequence[Sequence[tuple[float, float]]]
) -> list[Markup]:
    named = points if len(points) <= NAMED else [p for p in points if p.optimal][:NAMED]
    texts = [p.name if len(p.name) <= 34 else f"{p.name[:16]}…{p.name[-17:]}" for p in named]
    shares = [f" {share_of(p.probability)}" if p.probability is not None else "" for p in named]
    anchors = [
        Anchor(x.at(p.latency[0]), -y.at(p.score[0]), svg.CHARACTER * len(text + share) + 4, 13.0)
        for p, text, share in zip(named, texts, shares, strict=True)
    ]
    lines = [
        Box(min(a[0], b[0]) - 1, -max(a[1], b[1]) - 1, max(a[0], b[0]) + 1, -min(a[1], b[1]) + 1)
        for front in fronts
        for a, b in pairwise(front)
    ]
    boxes = place(anchors, frame=Box(LEFT, -BOTTOM, RIGHT, -TOP), radius=8.0, lines=lines)
    return [
        svg.tag(
            "text",
            text,
            svg.tag("tspan", share, class_="share"),
            x=(box.left + box.right) / 2,
            y=-box.bottom - 3,
            text_anchor="middle",
            class_="name",
        )
        for text, share, box in zip(texts, shares, boxes, strict=True)
    ]
