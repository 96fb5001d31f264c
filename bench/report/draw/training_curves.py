"""Curves of trainings: loss and validated score, training and validation, against seconds and images.

All models in one picture, told apart by colour, line and marker; or one model alone, where colour
tells training from validation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.report.draw.figure import (
    COLOURS,
    GREY,
    colour,
    from_zero,
    legend_below,
    look,
    marker,
    over_legend,
    reach,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 0.02
"""Share of the logged steps over which the loss is averaged."""

WIDE = 30.0
"""Ratio of the largest to the smallest loss above which losses get a logarithmic axis."""

NARROWEST = 0.05
"""Smallest height of an axis of scores."""

SECONDS, IMAGES = "training time (s)", "images seen"
TRAIN_COLOUR, VALIDATION_COLOUR, KEPT_COLOUR = COLOURS[0], COLOURS[1], COLOURS[2]


@dataclass(frozen=True)
class Series:
    """Values along a training.

    Attributes:
        seconds, images: Training seconds and images seen at each value.
        values: None or not finite where there is no number.
    """

    seconds: Sequence[float] = ()
    images: Sequence[float] = ()
    values: Sequence[float | None] = ()

    def known(self, axis: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the values that are numbers with their place on an axis, both of shape (n,)."""
        y = np.array([math.nan if value is None else value for value in self.values], dtype=np.float64)
        kept = np.isfinite(y)
        x = np.asarray(self.seconds if axis == SECONDS else self.images, dtype=np.float64)
        return x[kept], y[kept]


NOTHING = Series()


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        label: Its name.
        loss: Training loss at each logged step.
        val_loss: Validation loss at each validation.
        score_name: Name of the validated score, `mIoU` for example; None where no score is validated.
        val_score: Validated score at each validation, 0-1.
        train_score: The same score on training images, where a framework reports it.
        kept: (seconds, images) at the validation whose weights are kept; None if unknown.
    """

    label: str
    loss: Series = NOTHING
    val_loss: Series = NOTHING
    val_score: Series = NOTHING
    train_score: Series = NOTHING
    score_name: str | None = None
    kept: tuple[float, float] | None = None


# --------------------------------------------------------------------------- all models


def training_curves(curves: Sequence[Curve]) -> Figure:
    """Return loss and validated score of all models, overlaid; what nobody reports has no panel."""
    from matplotlib.lines import Line2D

    names = list(dict.fromkeys(curve.score_name for curve in curves if _has_score(curve)))
    above = 0.6 + 2.8 * (1 + len(names))
    figure, labels, columns = over_legend([curve.label for curve in curves], above)
    panels = figure.subplots(1 + len(names), 2, sharex="col", sharey="row", squeeze=False)
    looks = [look(i) for i in range(len(curves))]
    for column, axis in enumerate((SECONDS, IMAGES)):
        for position, (curve, own) in enumerate(zip(curves, looks, strict=True)):
            seen, values = curve.loss.known(axis)
            panels[0, column].plot(seen, smoothed(values), linewidth=1.5, **own)
            points: dict[str, Any] = {"color": own["color"], "marker": marker(position)}
            _points(panels[0, column], curve.val_loss, axis, linewidth=0, **points)
            if _has_score(curve):
                row = panels[1 + names.index(curve.score_name), column]
                _points(row, curve.val_score, axis, linewidth=1.5, linestyle=own["linestyle"], **points)
        _name_axis(panels[-1, column], curves, axis)
    _name_rows(list(panels[:, 0]), names)
    for row, name in zip(panels[1:, 0], names, strict=True):
        _set_height(row, [curve.val_score for curve in curves if curve.score_name == name])
    _scale_losses(panels[0, 0], [series for curve in curves for series in (curve.loss, curve.val_loss)])
    panels[0, 0].set_title("lines: training, averaged; markers: validation, where reported", color=GREY)
    if names:
        panels[1, 0].set_title("validation, every point measured", color=GREY)
    if curves:
        handles = [
            Line2D([], [], marker=marker(i), markersize=4.5, linewidth=1.5, label=label, **looks[i])
            for i, label in enumerate(labels)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.6)
    return figure


def _has_score(curve: Curve) -> bool:
    return bool(curve.val_score.known(SECONDS)[1].size or curve.train_score.known(SECONDS)[1].size)


def _name_axis(axes: Axes, curves: Sequence[Curve], axis: str) -> None:
    """The horizontal axis, up to the last value of any curve."""
    axes.set_xlabel(axis)
    every = [series for curve in curves for series in (curve.loss, curve.val_loss, curve.val_score, curve.train_score)]
    from_zero(axes, [seen for series in every for seen in series.known(axis)[0]])


def _points(axes: Axes, series: Series, axis: str, **look: Any) -> None:
    """Measured points, joined where `linewidth` is above 0; drawn even if there is none, for the legend."""
    seen, values = series.known(axis)
    axes.plot(seen, values, markersize=4.5, markeredgecolor="white", markeredgewidth=0.4, **look)


def _name_rows(left: Sequence[Axes], names: Sequence[str | None]) -> None:
    for axes, name in zip(left, ("loss", *(f"{name or 'score'} (0–1)" for name in names)), strict=True):
        axes.set_ylabel(name)


def _scale_losses(axes: Axes, losses: Sequence[Series]) -> None:
    """A logarithmic axis where losses are far apart, else one that begins at 0 unless a loss is negative."""
    known = [smoothed(series.known(SECONDS)[1]) for series in losses]
    values = np.concatenate([np.zeros(0), *known])
    positive = values[values > 0]
    if positive.size and positive.size == values.size and positive.max() > WIDE * positive.min():
        axes.set_yscale("log")
    elif positive.size == values.size:
        axes.set_ylim(bottom=0)


def _set_height(axes: Axes, validated: Sequence[Series]) -> None:
    """Set limits at least `NARROWEST` apart, so that a thousandth is not drawn as a slump; 0-1 without scores."""
    if not any(series.known(SECONDS)[1].size for series in validated):
        axes.set_ylim(0, 1)
        return
    low, high = axes.get_ylim()
    missing = NARROWEST - (high - low)
    if missing > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving average over `SMOOTHED` of the values, fewer at both ends; same length."""
    half = int(len(values) * SMOOTHED / 2)
    if half == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    first, last = np.maximum(0, positions - half), np.minimum(len(values), positions + half + 1)
    return np.asarray((sums[last] - sums[first]) / (last - first), dtype=np.float64)


# --------------------------------------------------------------------------- one model


def training_curve(curve: Curve) -> Figure:
    """Return loss and score of one model, training and validation."""
    from matplotlib.figure import Figure

    names = [curve.score_name] if _has_score(curve) else []
    figure = Figure(figsize=(9.6, 0.8 + 2.4 * (1 + len(names))), layout="constrained")
    panels = figure.subplots(1 + len(names), 2, sharex="col", sharey="row", squeeze=False)
    validated: dict[str, Any] = {"color": VALIDATION_COLOUR, "marker": "o", "linestyle": "--", "linewidth": 1.3}
    trained: dict[str, Any] = {"color": TRAIN_COLOUR, "marker": "s", "linestyle": "-", "linewidth": 1.3}
    for column, axis in enumerate((SECONDS, IMAGES)):
        _training_loss(panels[0, column], curve.loss, axis)
        _points(panels[0, column], curve.val_loss, axis, label="validation", **validated)
        for scores in panels[1:, column]:
            _points(scores, curve.val_score, axis, **validated)
            _points(scores, curve.train_score, axis, **trained)
        if curve.kept is not None:
            at = curve.kept[0 if axis == SECONDS else 1]
            for panel in panels[:, column]:
                panel.axvline(at, color=KEPT_COLOUR, linestyle=":", linewidth=1.5, label="weights that are kept")
        _name_axis(panels[-1, column], [curve], axis)
    _name_rows(list(panels[:, 0]), names)
    for scores in panels[1:, 0]:
        _set_height(scores, [curve.val_score, curve.train_score])
    _scale_losses(panels[0, 0], [curve.loss, curve.val_loss])
    without = "" if names else " (no score was validated)"
    figure.suptitle(shortened(curve.label, 90) + without, fontsize=10)
    legend_below(figure, panels[0, 0], 4, handlelength=3.6)
    return figure


def _training_loss(axes: Axes, losses: Series, axis: str) -> None:
    """Every logged value faintly, their average above it."""
    seen, values = losses.known(axis)
    axes.plot(seen, values, color=TRAIN_COLOUR, alpha=0.3, linewidth=0.8)
    axes.plot(seen, smoothed(values), color=TRAIN_COLOUR, linewidth=1.6, label="training, averaged")


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
            panel.plot(seen, values, marker=".", alpha=0.55, linewidth=1.2, **look(position))
            bar = reach(point.score, point.score_low, point.score_high)
            panel.errorbar(
                at, point.score, yerr=bar, capsize=3, linestyle="none", markeredgecolor="white",
                label=label, zorder=4, color=colour(position), marker=marker(position), markersize=8,
            )  # fmt: skip
        panel.set_xlabel(axis)
        ends = [point.seconds if axis == SECONDS else point.images for point in points]
        from_zero(panel, [*ends, *(seen for point in points for seen in point.val.known(axis)[0])])
    panels[0].set_ylabel(score_label)
    told = "large markers: test split, 95 % interval" + ("; lines: validation on the way" if ways else "")
    panels[0].set_title(told, color=GREY)
    if points:
        legend_below(figure, panels[0], columns)
    return figure
