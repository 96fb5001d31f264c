"""Accuracy under one budget: scores on the test split against training seconds and images seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.draw.figure import GREY, colour, from_zero, line, marker, over_legend
from bench.report.draw.training_curves import IMAGES, NOTHING, SECONDS, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class BudgetPoint:
    """One trained and scored model.

    Attributes:
        label: Its name.
        seconds, images: Cost of its training: seconds, and images seen.
        score, score_low, score_high: Score on the test split, with its 95 % interval, each None if unknown.
        val: Values of the same quantity on the validation split along the way; empty where that is another one.
    """

    label: str
    seconds: float
    images: float
    score: float
    score_low: float | None
    score_high: float | None
    val: Series = NOTHING


def accuracy_budget(points: Sequence[BudgetPoint], *, score_label: str) -> Figure:
    """Return scores, a point per model, against training seconds and images seen, with the way there.

    `score_label` is the label of the vertical axis, with its range.
    """
    figure, labels, columns = over_legend([point.label for point in points], 4.1)
    panels = figure.subplots(1, 2, sharey=True)
    ways = any(point.val.known(SECONDS)[1].size for point in points)
    for panel, axis in zip(panels, (SECONDS, IMAGES), strict=True):
        for position, (point, label) in enumerate(zip(points, labels, strict=True)):
            at = point.seconds if axis == SECONDS else point.images
            seen, values = point.val.known(axis)
            panel.plot(
                seen, values, color=colour(position), linestyle=line(position), marker=".", alpha=0.55, linewidth=1.2
            )
            look: dict[str, Any] = {"color": colour(position), "marker": marker(position), "markersize": 8}
            panel.errorbar(
                at, point.score, yerr=_reach(point), capsize=3, linestyle="none", markeredgecolor="white",
                label=label, zorder=4, **look,
            )  # fmt: skip
        panel.set_xlabel(axis)
        ends = [point.seconds if axis == SECONDS else point.images for point in points]
        from_zero(panel, [*ends, *(seen for point in points for seen in point.val.known(axis)[0])])
    panels[0].set_ylabel(score_label)
    told = "large markers: test split, 95 % interval" + ("; lines: validation on the way" if ways else "")
    panels[0].set_title(told, color=GREY)
    if points:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=columns)
    return figure


def _reach(point: BudgetPoint) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Lengths of the error bar below and above, shape (2, 1)."""
    if point.score_low is None or point.score_high is None:
        return None
    return np.array([[max(0.0, point.score - point.score_low)], [max(0.0, point.score_high - point.score)]])
