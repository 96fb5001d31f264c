"""The pictures of a report, as PNG files that are equal byte by byte for equal input.

Pure functions of the small frozen types below: filling them from a run is `pictures.py`'s task.
Colour is never alone: models differ by marker or line style as well, stages by hatching.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.report._accuracy_latency import AccuracyPoint, accuracy_latency
from bench.report._contact_sheet import SheetRow, Tile, contact_sheet
from bench.report._figure import COLOURS, GREY, STYLE, colour, columns_that_fit, line, marker, save, shortened
from bench.report.numbers import milliseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AccuracyPoint",
    "Curve",
    "SheetRow",
    "StageBar",
    "Tile",
    "accuracy_latency",
    "contact_sheet",
    "stage_times",
    "training_curves",
]

SMOOTHED = 0.02
"""Share of the steps over which the loss is averaged."""


@dataclass(frozen=True)
class StageBar:
    """One model in the plot of stage times; milliseconds per image, None if unknown."""

    label: str
    preprocess_ms: float | None
    infer_ms: float | None
    postprocess_ms: float | None
    end_to_end_ms: float | None


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        label: Its name.
        step_s: Training seconds at each logged step.
        step_loss: Loss there; None or not finite where it was not.
        val_s: Training seconds at each validation.
        val_mean_iou: Mean IoU there, 0-1; None where undefined.
    """

    label: str
    step_s: Sequence[float]
    step_loss: Sequence[float | None]
    val_s: Sequence[float]
    val_mean_iou: Sequence[float | None]


# --------------------------------------------------------------------------- stage times

STAGES = (("preprocess", "preprocess_ms", "///"), ("infer", "infer_ms", ""), ("postprocess", "postprocess_ms", "..."))
END_TO_END = "end to end, p50"
STAGE_COLOURS = (COLOURS[4], COLOURS[0], COLOURS[2])


def stage_times(bars: Sequence[StageBar], path: Path) -> None:
    """Write stacked stage medians beside the end-to-end median, with all values in a table, as a PNG.

    Args:
        bars: One per model, from top to bottom; an unknown stage has no length and is told as "–".
        path: File to write.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save(_stage_figure(bars), path)


def _stage_figure(bars: Sequence[StageBar]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 1.5 + 0.34 * max(2, len(bars))), layout="constrained")
    axes, table = figure.subplots(1, 2, width_ratios=(5, 3.3), sharey=True)
    rows = np.arange(len(bars))
    left = np.zeros(len(bars))
    for (name, attribute, hatch), shade in zip(STAGES, STAGE_COLOURS, strict=True):
        widths = np.array([getattr(bar, attribute) or 0.0 for bar in bars])
        axes.barh(
            rows, widths, left=left, height=0.62, color=shade, hatch=hatch, edgecolor="white", linewidth=0.5, label=name
        )
        left += widths
    timed = [(row, bar.end_to_end_ms) for row, bar in enumerate(bars) if bar.end_to_end_ms is not None]
    if timed:
        y, x = zip(*timed, strict=True)
        axes.plot(x, y, "D", color="black", markeredgecolor="white", markersize=6, label=END_TO_END, zorder=4)
    axes.set(xlabel="median time (ms per image)", xlim=(0, None))
    axes.set_yticks(rows, [shortened(bar.label, 44) for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    _values(table, bars)
    handles, names = axes.get_legend_handles_labels()
    # Lines come before bars; the order of the stages is the reader's.
    entries = sorted(zip(names, handles, strict=True), key=lambda entry: entry[0] == END_TO_END)
    figure.legend(handles=[handle for _, handle in entries], loc="outside lower center", ncols=4)
    return figure


def _values(axes: Axes, bars: Sequence[StageBar]) -> None:
    """All numbers, in columns: most segments are too short to hold theirs."""
    axes.set_axis_off()
    axes.set_xlim(0, 4.2)
    headings = [*(name for name, _, _ in STAGES), "end to end"]
    ends = (1.0, 1.75, 2.95, 4.1)
    look: dict[str, Any] = {"ha": "right", "fontsize": 8}
    for end, heading in zip(ends, headings, strict=True):
        axes.text(end, 1.01, heading, va="bottom", color=GREY, transform=axes.get_xaxis_transform(), **look)
    for row, bar in enumerate(bars):
        values = (bar.preprocess_ms, bar.infer_ms, bar.postprocess_ms, bar.end_to_end_ms)
        for column, value in enumerate(values):
            weight = "bold" if column == len(STAGES) else "normal"
            axes.text(ends[column], row, milliseconds(value), va="center", fontweight=weight, **look)


# --------------------------------------------------------------------------- training curves


def training_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write loss and validation mean IoU against training seconds, all models overlaid, as a PNG.

    Args:
        curves: One per training; values that are None or not finite are left out.
        path: File to write.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save(_curves_figure(curves), path)


def _curves_figure(curves: Sequence[Curve]) -> Figure:
    from matplotlib.figure import Figure

    labels = [shortened(curve.label, 48) for curve in curves]
    columns = columns_that_fit(labels, 9.2)
    figure = Figure(figsize=(9.6, 3.7 + 0.19 * -(-len(curves) // columns)), layout="constrained")
    loss, iou = figure.subplots(1, 2)
    lowest, highest = math.inf, 0.0
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        look: dict[str, Any] = {"color": colour(position), "linestyle": line(position), "linewidth": 1.5}
        seconds, values = _known(curve.step_s, curve.step_loss)
        smooth = _smoothed(values)
        loss.plot(seconds, smooth, **look)
        positive = smooth[smooth > 0]
        if positive.size:
            lowest, highest = min(lowest, float(positive.min())), max(highest, float(positive.max()))
        seconds, values = _known(curve.val_s, curve.val_mean_iou)
        iou.plot(seconds, values, marker=marker(position), markersize=4.5, label=label, **look)
    if highest > 30 * lowest:
        loss.set_yscale("log")
    else:
        loss.set_ylim(bottom=0)
    loss.set(xlabel="training time (s)", ylabel="training loss", xlim=(0, None))
    loss.set_title(f"loss, moving average over {100 * SMOOTHED:g} % of the steps", color=GREY)
    iou.set(xlabel="training time (s)", ylabel="validation mean IoU (0–1)", xlim=(0, None))
    iou.set_title("validation, every point measured", color=GREY)
    if curves:
        figure.legend(loc="outside lower center", ncols=columns, handlelength=3.6)
    return figure


def _known(seconds: Sequence[float], values: Sequence[float | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pairs whose value is a number, both of shape (n,)."""
    y = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    kept = np.isfinite(y)
    return np.asarray(seconds, dtype=np.float64)[kept], y[kept]


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving average over `SMOOTHED` of the values, fewer at both ends; same length."""
    half = int(len(values) * SMOOTHED / 2)
    if half == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    first, last = np.maximum(0, positions - half), np.minimum(len(values), positions + half + 1)
    return np.asarray((sums[last] - sums[first]) / (last - first), dtype=np.float64)
