"""Curves of trainings: loss and mean IoU, training and validation, against seconds and images.

All models in one picture, told apart by colour, line and marker; or one model alone, where colour
tells training from validation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.report.draw.figure import COLOURS, GREY, STYLE, colour, columns_that_fit, line, marker, save, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 0.02
"""Share of the logged steps over which the loss is averaged."""

WIDE = 30.0
"""Ratio of the largest to the smallest loss above which losses get a logarithmic axis."""

NARROWEST = 0.05
"""Smallest height of an axis of mean IoU."""

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
        """The values that are numbers with their place on an axis, both of shape (n,)."""
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
        loss: Of training, at each logged step.
        val_loss, val_mean_iou: At each validation; mean IoU is 0-1.
        train_mean_iou: On training images, where a framework reports it.
        kept: (seconds, images) at the validation whose weights are kept; None if unknown.
    """

    label: str
    loss: Series = NOTHING
    val_loss: Series = NOTHING
    val_mean_iou: Series = NOTHING
    train_mean_iou: Series = NOTHING
    kept: tuple[float, float] | None = None


def training_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write loss and mean IoU of all models, overlaid, as a PNG.

    Args:
        curves: One per training.
        path: File to write.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save(_overlaid_figure(curves), path)


def training_curve(curve: Curve, path: Path) -> None:
    """Write loss and mean IoU of one model, training and validation, as a PNG.

    Args:
        curve: The training.
        path: File to write.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save(_single_figure(curve), path)


# --------------------------------------------------------------------------- all models


def _overlaid_figure(curves: Sequence[Curve]) -> Figure:
    from matplotlib.figure import Figure

    labels = [shortened(curve.label, 48) for curve in curves]
    columns = columns_that_fit(labels, 9.2)
    figure = Figure(figsize=(9.6, 6.2 + 0.19 * -(-len(curves) // columns)), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, axis in enumerate((SECONDS, IMAGES)):
        loss, iou = panels[0, column], panels[1, column]
        for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
            look: dict[str, Any] = {"color": colour(position), "linestyle": line(position)}
            seen, values = curve.loss.known(axis)
            loss.plot(seen, smoothed(values), linewidth=1.5, **look)
            _points(loss, curve.val_loss, axis, color=look["color"], marker=marker(position), linewidth=0)
            _points(iou, curve.val_mean_iou, axis, marker=marker(position), linewidth=1.5, label=label, **look)
        iou.set(xlabel=axis, xlim=(0, None))
    _name_rows(panels[:, 0])
    _set_height(panels[1, 0], [curve.val_mean_iou for curve in curves])
    _scale_losses(panels[0, 0], [series for curve in curves for series in (curve.loss, curve.val_loss)])
    panels[0, 0].set_title("lines: training, averaged; markers: validation, where reported", color=GREY)
    panels[1, 0].set_title("validation, every point measured", color=GREY)
    if curves:
        handles, names = panels[1, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=3.6)
    return figure


def _points(axes: Axes, series: Series, axis: str, **look: Any) -> None:
    """Measured points, joined where `linewidth` is above 0; drawn even if there is none, for the legend."""
    seen, values = series.known(axis)
    axes.plot(seen, values, markersize=4.5, markeredgecolor="white", markeredgewidth=0.4, **look)


def _name_rows(left: Sequence[Axes]) -> None:
    left[0].set_ylabel("loss")
    left[1].set_ylabel("mean IoU (0–1)")


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
    """At least `NARROWEST` of mean IoU, so that a thousandth does not look like a slump; 0-1 without any."""
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


def _single_figure(curve: Curve) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, axis in enumerate((SECONDS, IMAGES)):
        loss, iou = panels[0, column], panels[1, column]
        _training_loss(loss, curve.loss, axis)
        validated: dict[str, Any] = {"color": VALIDATION_COLOUR, "marker": "o", "linestyle": "--", "linewidth": 1.3}
        _points(loss, curve.val_loss, axis, label="validation", **validated)
        _points(iou, curve.val_mean_iou, axis, **validated)
        trained: dict[str, Any] = {"color": TRAIN_COLOUR, "marker": "s", "linestyle": "-", "linewidth": 1.3}
        _points(iou, curve.train_mean_iou, axis, **trained)
        if curve.kept is not None:
            for panel in (loss, iou):
                at = curve.kept[0 if axis == SECONDS else 1]
                panel.axvline(at, color=KEPT_COLOUR, linestyle=":", linewidth=1.5, label="weights that are kept")
        iou.set(xlabel=axis, xlim=(0, None))
    _name_rows(panels[:, 0])
    _set_height(panels[1, 0], [curve.val_mean_iou, curve.train_mean_iou])
    _scale_losses(panels[0, 0], [curve.loss, curve.val_loss])
    figure.suptitle(shortened(curve.label, 90), fontsize=10)
    if not curve.val_mean_iou.known(SECONDS)[1].size:
        for panel in panels[1]:
            panel.text(0.5, 0.5, "no mean IoU was validated", ha="center", color=GREY, transform=panel.transAxes)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, handlelength=3.6)
    return figure


def _training_loss(axes: Axes, losses: Series, axis: str) -> None:
    """Every logged value faintly, their average above it."""
    seen, values = losses.known(axis)
    axes.plot(seen, values, color=TRAIN_COLOUR, alpha=0.3, linewidth=0.8)
    axes.plot(seen, smoothed(values), color=TRAIN_COLOUR, linewidth=1.6, label="training, averaged")
