"""The plot of score against latency: intervals both ways, the Pareto front, every point named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.draw.figure import GREY, colour, ink, marker, reach, reaches, shortened, tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LOG_ABOVE = 8.0
"""Ratio of slowest to fastest above which latency gets a logarithmic axis."""

NAMED_POINTS, NAMED_LENGTH = 8, 26
"""Most points, and most characters of a label, that are named in place; others are numbered."""

MOST_TOLD = 40
"""Most points that are all named or numbered; of more, only the Pareto-optimal ones are."""

FRONT: dict[str, Any] = {"color": GREY, "linewidth": 1.1, "linestyle": "--"}


@dataclass(frozen=True)
class AccuracyPoint:
    """One model in the plot of score against latency.

    Attributes:
        label: Its name.
        score: Score with its 95 % interval `score_low`, `score_high`, each None if unknown.
        latency_ms: Latency per image, with its interval `latency_low`, `latency_high`, milliseconds.
        pareto_optimal: True if no other of its group is better and as fast.
        group: Name of the group in which it competes (data set and device); each group has a Pareto front of its own.
        share: Text that stands behind its name: in how many of the resamples it is Pareto-optimal.
        told: Text that it shows where it is pointed to.
    """

    label: str
    score: float
    score_low: float | None
    score_high: float | None
    latency_ms: float
    latency_low: float | None
    latency_high: float | None
    pareto_optimal: bool
    group: str = ""
    share: str = ""
    told: str = ""


def accuracy_latency(
    points: Sequence[AccuracyPoint], *, score_label: str, latency_label: str, higher_is_better: bool = True
) -> Figure:
    """Return score against latency with 95 % intervals and the Pareto front.

    Points, one per model, without finite score and latency are left out. The labels of the two axes have their range
    and unit.
    """
    from matplotlib.figure import Figure

    points = [p for p in points if math.isfinite(p.score) and math.isfinite(p.latency_ms) and p.latency_ms > 0]
    numbered = len(points) > NAMED_POINTS or any(len(p.label) > NAMED_LENGTH for p in points)
    figure = Figure(figsize=(9.6 if numbered else 7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=latency_label, ylabel=score_label)
    axes.margins(x=0.09, y=0.1)
    latencies = [p.latency_ms for p in points]
    if latencies and max(latencies) > LOG_ABOVE * min(latencies):
        logarithmic(axes)
    told = points if len(points) <= MOST_TOLD else [p for p in points if p.pareto_optimal][:MOST_TOLD]
    _crowd(axes, [p for p in points if p not in told] if len(told) < len(points) else [])
    for position, point in enumerate(told):
        _point(axes, point, position)
    fronts = _fronts(axes, points, higher_is_better)
    where: Any = "outside right upper" if numbered else "outside lower center"
    figure.legend(handles=_point_legend(told if numbered else ()), loc=where, ncols=1 if numbered else 2)
    _name_points(figure, axes, told, [f"{i + 1 if numbered else p.label}{p.share}" for i, p in enumerate(told)], fronts)
    return figure


def _crowd(axes: Axes, points: Sequence[AccuracyPoint]) -> None:
    """Draw points that are too many to be told apart, all alike, with their intervals."""
    if not points:
        return
    across = reaches((p.latency_ms, p.latency_low, p.latency_high) for p in points)
    up = reaches((p.score, p.score_low, p.score_high) for p in points)
    axes.errorbar(
        [p.latency_ms for p in points], [p.score for p in points], xerr=across, yerr=up, fmt="o", color=GREY, alpha=0.5,
        markersize=3, elinewidth=0.5, label="_", zorder=2,
    )  # fmt: skip


def logarithmic(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers along it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _fronts(
    axes: Axes, points: Sequence[AccuracyPoint], higher_is_better: bool
) -> list[tuple[list[float], list[float]]]:
    """Draw what is attainable: at a given latency, the best score of the points left of it.

    Returns:
        The corners of the front of each group: latencies, scores.
    """
    (left, right), scores = axes.get_xlim(), axes.get_ylim()
    worst = scores[0] if higher_is_better else scores[1]
    fronts = []
    for group in dict.fromkeys(p.group for p in points if p.pareto_optimal):
        front = sorted((p.latency_ms, p.score) for p in points if p.pareto_optimal and p.group == group)
        x, y = [front[0][0]], [worst]
        for latency, score in [*front, (right, front[-1][1])]:
            x += [latency, latency]
            y += [y[-1], score]
        axes.plot(x, y, **FRONT, zorder=1)
        fronts.append((x, y))
    axes.set(xlim=(left, right), ylim=scores)
    return fronts


def _point_legend(points: Sequence[AccuracyPoint]) -> list[Line2D]:
    """Return entries of the numbered points, of the front and of the intervals."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], linestyle="", marker=marker(i), color=colour(i), label=f"{i + 1}  {shortened(p.label, 48)}")
        for i, p in enumerate(points)
    ]
    interval = Line2D([], [], color=GREY, linewidth=1.2, marker="|", markersize=7, label="95 % interval")
    return [*entries, Line2D([], [], **FRONT, label="Pareto front"), interval]


def _point(axes: Axes, point: AccuracyPoint, position: int) -> None:
    bars = axes.errorbar(
        [point.latency_ms],
        [point.score],
        xerr=reach(point.latency_ms, point.latency_low, point.latency_high),
        yerr=reach(point.score, point.score_low, point.score_high),
        fmt=marker(position), color=colour(position), markersize=7, markeredgecolor="white", markeredgewidth=0.8,
        elinewidth=1.2, capsize=2.5, zorder=3,
    )  # fmt: skip
    tell(bars[0], point.told)


def _name_points(
    figure: Figure,
    axes: Axes,
    points: Sequence[AccuracyPoint],
    names: Sequence[str],
    fronts: Sequence[tuple[list[float], list[float]]],
) -> None:
    """Write a name beside every point, joined to it by a thin line where it had to move away."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # settles the layout, which decides where a point lies in pixels
    renderer = canvas.get_renderer()
    figure.set_layout_engine("none")
    pixel = figure.dpi / 72
    anchors = []
    texts = []
    for position, (point, name) in enumerate(zip(points, names, strict=True)):
        halo = [withStroke(linewidth=2.5, foreground="white")]
        text = axes.annotate(
            name, (point.latency_ms, point.score), xytext=(0, 0), textcoords="offset points", ha="center", va="center",
            fontsize=8, color=ink(position), path_effects=halo, zorder=5,
        )  # fmt: skip
        extent = text.get_window_extent(renderer)
        x, y = axes.transData.transform((point.latency_ms, point.score))
        anchors.append(Anchor(x, y, extent.width + 2 * pixel, extent.height + pixel))
        texts.append(text)
    frame = axes.get_window_extent(renderer)
    inside = Box(frame.x0, frame.y0, frame.x1, frame.y1)
    boxes = place(anchors, frame=inside, radius=6 * pixel, lines=_line_boxes(axes, points, fronts))
    for position, (text, anchor, box) in enumerate(zip(texts, anchors, boxes, strict=True)):
        away = (box.left + box.right) / 2 - anchor.x, (box.bottom + box.top) / 2 - anchor.y
        text.set_position((away[0] / pixel, away[1] / pixel))  # points, which vector forms keep
        _leader(axes, anchor, box, 12 * pixel, colour(position))


def _leader(axes: Axes, anchor: Anchor, box: Box, near: float, shade: str) -> None:
    x, y = min(max(anchor.x, box.left), box.right), min(max(anchor.y, box.bottom), box.top)
    if math.hypot(x - anchor.x, y - anchor.y) > near:
        start, end = axes.transData.inverted().transform([(anchor.x, anchor.y), (x, y)])
        axes.plot(
            [start[0], end[0]], [start[1], end[1]], color=shade, linewidth=0.7, zorder=2, scalex=False, scaley=False
        )


def _line_boxes(
    axes: Axes, points: Sequence[AccuracyPoint], fronts: Sequence[tuple[list[float], list[float]]]
) -> list[Box]:
    """Thin rectangles over error bars and fronts, pixels."""
    ends: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for p in points:
        if p.score_low is not None and p.score_high is not None:
            ends.append(((p.latency_ms, p.score_low), (p.latency_ms, p.score_high)))
        if p.latency_low is not None and p.latency_high is not None:
            ends.append(((p.latency_low, p.score), (p.latency_high, p.score)))
    for x, y in fronts:
        ends += pairwise(zip(x, y, strict=True))
    corners = [np.sort(axes.transData.transform(pair), axis=0) for pair in ends]  # (lower, upper) × (x, y)
    return [Box(x0 - 1, y0 - 1, x1 + 1, y1 + 1) for (x0, y0), (x1, y1) in corners]


# --------------------------------------------------------------------------- places of names

DIRECTIONS = (0, 180, 60, -60, 120, -120, 90, -90, 30, -30, 150, -150)
STEPS = 30
COVERED, CROSSED = 1e6, 6.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Return whether the two share an area."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, outer: Box) -> bool:
        """Return whether it lies in the other entirely."""
        return (
            self.left >= outer.left
            and self.right <= outer.right
            and self.bottom >= outer.bottom
            and self.top <= outer.top
        )


@dataclass(frozen=True)
class Anchor:
    """A point that wants a label.

    Attributes:
        x, y: Centre of its marker, pixels.
        width, height: Size of its label, pixels.
    """

    x: float
    y: float
    width: float
    height: float


def place(anchors: Sequence[Anchor], *, frame: Box, radius: float, lines: Sequence[Box]) -> list[Box]:
    """Choose a rectangle for every label, the most crowded points first.

    Args:
        anchors: Points with the size of their labels.
        frame: Rectangle in which labels may lie.
        radius: Radius of a marker with its margin, pixels.
        lines: Thin rectangles (error bars) that labels rather avoid.

    Returns:
        One rectangle per anchor, in order. They overlap neither each other nor a marker, unless
        the frame is too full.
    """
    markers = [Box(a.x - radius, a.y - radius, a.x + radius, a.y + radius) for a in anchors]
    placed: dict[int, Box] = {}
    for position in sorted(range(len(anchors)), key=lambda i: (-_close_labels(anchors, i), i)):
        solid = [*placed.values(), *markers]
        candidates = _candidates(anchors[position], radius)
        _, _, best = min(
            (_cost(box, far, solid, lines, frame), order, box) for order, (far, box) in enumerate(candidates)
        )
        placed[position] = best
    return [placed[position] for position in range(len(anchors))]


def _close_labels(anchors: Sequence[Anchor], position: int) -> int:
    one = anchors[position]
    return sum(abs(a.x - one.x) < one.width and abs(a.y - one.y) < 3 * one.height for a in anchors)


def _candidates(anchor: Anchor, radius: float) -> list[tuple[float, Box]]:
    """Rectangles around the point, with their distance from it in steps."""
    found = []
    for step in range(STEPS):
        reach = radius * (1.15 + 0.7 * step)
        for degrees in DIRECTIONS:
            across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            # The rectangle touches the circle of this reach with the side or corner that faces it.
            half_width, half_height = anchor.width / 2, anchor.height / 2
            side = (round(across, 3) > 0) - (round(across, 3) < 0)
            x, y = anchor.x + reach * across + half_width * side, anchor.y + reach * up + half_height * up
            found.append((float(step), Box(x - half_width, y - half_height, x + half_width, y + half_height)))
    return found


def _cost(box: Box, far: float, solid: Sequence[Box], lines: Sequence[Box], frame: Box) -> float:
    covered = sum(box.overlaps(other) for other in solid) + 3 * (not box.within(frame))
    return covered * COVERED + sum(box.overlaps(other) for other in lines) * CROSSED + far
