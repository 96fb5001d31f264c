"""Shows where the time goes: stacked medians of the stages of each model, and their numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.report.draw.accuracy_latency import logarithmic
from bench.report.draw.figure import COLOURS, GREY, look, over_legend, shortened
from bench.report.draw.numbers import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class StageBar:
    """One model in the plot of stage times; milliseconds per image, None if unknown.

    `stages_ms` has no `decode`, or None for it, where the timed path begins at arrays.
    """

    label: str
    stages_ms: Mapping[str, float | None]
    end_to_end_ms: float | None


STAGES = {"preprocess": "///", "infer": "", "postprocess": "..."}
DECODE = {"decode": "xxx"}
"""Stages with their hatches; the second where the timed path begins at files."""
END_TO_END = "end to end, p50"
STAGE_COLOURS = {"decode": COLOURS[3], "preprocess": COLOURS[4], "infer": COLOURS[0], "postprocess": COLOURS[2]}


def stage_times(bars: Sequence[StageBar]) -> Figure:
    """Return stacked stage medians beside the end-to-end median, with all values in a table.

    There is a bar per model, from top to bottom; an unknown stage has no length and is told as "–".
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 1.5 + 0.34 * max(2, len(bars))), layout="constrained")
    stages = _stages_of(bars)
    axes, table = figure.subplots(1, 2, width_ratios=(5, 1.1 * len(stages)), sharey=True)
    rows = np.arange(len(bars))
    left = np.zeros(len(bars))
    for name, hatch in stages.items():
        widths = np.array([bar.stages_ms.get(name) or 0.0 for bar in bars])
        style: dict[str, Any] = {"color": STAGE_COLOURS[name], "edgecolor": "white", "linewidth": 0.5}
        axes.barh(rows, widths, left=left, height=0.62, hatch=hatch, label=name, **style)
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
    figure.legend(handles=[handle for _, handle in entries], loc="outside lower center", ncols=len(stages) + 1)
    return figure


def _stages_of(bars: Sequence[StageBar]) -> dict[str, str]:
    return DECODE | STAGES if any(bar.stages_ms.get("decode") is not None for bar in bars) else STAGES


def _values(axes: Axes, bars: Sequence[StageBar]) -> None:
    """All numbers, in columns: most segments are too short to hold theirs."""
    axes.set_axis_off()
    stages = _stages_of(bars)
    headings = [*stages, "end to end"]
    ends = (1.0, 1.75, 2.95, 4.1) if stages == STAGES else (0.75, 1.8, 2.55, 3.75, 4.9)
    axes.set_xlim(0, ends[-1] + 0.1)
    style: dict[str, Any] = {"ha": "right", "fontsize": 8}
    for end, heading in zip(ends, headings, strict=True):
        axes.text(end, 1.01, heading, va="bottom", color=GREY, transform=axes.get_xaxis_transform(), **style)
    for row, bar in enumerate(bars):
        values = [*(bar.stages_ms.get(name) for name in stages), bar.end_to_end_ms]
        for column, value in enumerate(values):
            weight = "bold" if column == len(stages) else "normal"
            axes.text(ends[column], row, significant(value), va="center", fontweight=weight, **style)


WIDE = 5.0
"""Ratio of the longest to the shortest latency above which these get a logarithmic axis."""
SHARES = np.concatenate([np.linspace(0, 0.99, 100), [0.995, 1.0]])


def distribution(rows: Sequence[tuple[str, NDArray[np.float64]]]) -> Figure:
    """Return a line for each row, of its name and usable samples, milliseconds per image, (samples,)."""
    figure, labels, columns = over_legend([name for name, _ in rows], 3.0)
    axes = figure.subplots()
    curves = [np.quantile(samples, SHARES) for _, samples in rows]
    for position, (label, curve) in enumerate(zip(labels, curves, strict=True)):
        axes.plot(curve, SHARES, linewidth=1.5, label=label, **look(position))
    low, high = min(float(curve[0]) for curve in curves), max(float(curve[-3]) for curve in curves)
    if low > 0 and high > WIDE * low:
        logarithmic(axes)
    axes.set(xlabel="end to end (ms per image)", ylabel="share of samples", xlim=(low / 1.05, high * 1.08), ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=columns)
    return figure
