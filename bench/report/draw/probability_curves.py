"""Probabilities in one picture: reliability, errors among the surest, scores by threshold, precision by recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records.store import layout
from bench.report.draw.figure import GREY, colour, draw, line, marker, over_legend
from bench.report.summary.probability_curves import ProbabilityCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.summary.summarise import RunSummary

PICTURE = "probabilities.png"


def draw_probabilities(summary: RunSummary, folder: Path) -> list[Path]:
    """Draw the curves of every data set whose probabilities were kept; returns the files."""
    labels = {row.case_id: summary.label_of(row) for row in summary.rows}
    drawn: list[Path] = []
    for label in dict.fromkeys(one.dataset for one in summary.probabilities):
        curves = [one for one in summary.probabilities if one.dataset == label and one.case_id in labels]
        if not curves:
            continue
        path = folder / (f"probabilities@{layout.plain_name(label)}.png" if drawn else PICTURE)
        draw(path, probability_curves, curves, [labels[one.case_id] for one in curves])
        drawn.append(path)
    return drawn


def probability_curves(curves: Sequence[ProbabilityCurves], labels: Sequence[str]) -> Figure:
    """Return two panels, or four where thresholds were asked for, of the curves of at least one model."""
    rows = 2 if any(one.thresholds for one in curves) else 1
    figure, names, columns = over_legend(labels, 4.1 * rows)
    panels = figure.subplots(rows, 2).ravel()
    _reliability(panels[0], curves, names)
    _risk(panels[1], curves)
    if rows == 2:
        _thresholds(panels[2], curves)
        _precision(panels[3], curves)
    handles, known = panels[0].get_legend_handles_labels()
    figure.legend(handles, known, loc="outside lower center", ncols=columns)
    return figure


def _reliability(axes: Axes, curves: Sequence[ProbabilityCurves], names: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for position, (one, name) in enumerate(zip(curves, names, strict=True)):
        claimed, right, share = ([point[i] for point in one.reliability] for i in range(3))
        axes.plot(claimed, right, color=colour(position), linestyle=line(position), linewidth=1.2)
        axes.plot([], [], color=colour(position), linestyle=line(position), marker=marker(position), label=name)
        # The area of a marker is its share of the pixels, with a least size so that none vanishes.
        axes.scatter(
            claimed, right, s=[12 + 160 * part for part in share], color=colour(position), marker=marker(position),
            edgecolors="white", linewidths=0.6, zorder=3,
        )  # fmt: skip
    axes.set(xlabel="probability of the predicted class", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("reliability; below the diagonal: overconfident; size: pixels", color=GREY)


def _risk(axes: Axes, curves: Sequence[ProbabilityCurves]) -> None:
    for position, one in enumerate(curves):
        axes.plot(*_columns(one.risk, 0, 1), color=colour(position), linestyle=line(position), linewidth=1.4)
    axes.set(xlabel="coverage: share of pixels, most confident first", ylabel="share of wrong pixels", xlim=(0, 1))
    axes.set_ylim(0, None)
    axes.set_title("risk and coverage", color=GREY)


def _thresholds(axes: Axes, curves: Sequence[ProbabilityCurves]) -> None:
    for position, one in enumerate(curves):
        look = {"color": colour(position), "linestyle": line(position)}
        axes.plot(*_columns(one.thresholds, 0, 2), linewidth=1.6, **look)
        axes.plot(*_columns(one.thresholds, 0, 1), linewidth=0.8, **look)
    axes.set(xlabel="threshold tau, one for all classes", ylabel="Dice (bold) and IoU", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title("scores by threshold, mean over classes without background", color=GREY)


def _precision(axes: Axes, curves: Sequence[ProbabilityCurves]) -> None:
    for position, one in enumerate(curves):
        axes.plot(*_columns(one.precision, 0, 1), color=colour(position), linestyle=line(position), linewidth=1.4)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("precision by recall, mean over classes without background", color=GREY)


def _columns(points: Sequence[Sequence[float]], x: int, y: int) -> tuple[list[float], list[float]]:
    return [point[x] for point in points], [point[y] for point in points]
