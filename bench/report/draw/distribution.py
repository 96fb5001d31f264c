"""The distribution of latencies: what share of the samples of each row is at most as long as a latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.report.draw.accuracy_latency import logarithmic
from bench.report.draw.figure import colour, line, over_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 5.0
"""Ratio of the longest to the shortest latency above which these get a logarithmic axis."""
SHARES = np.concatenate([np.linspace(0, 0.99, 100), [0.995, 1.0]])


def distribution(rows: Sequence[tuple[str, NDArray[np.float64]]]) -> Figure:
    """Return a line for each row, of its name and usable samples, milliseconds per image, (samples,)."""
    figure, labels, columns = over_legend([name for name, _ in rows], 3.0)
    axes = figure.subplots()
    curves = [np.quantile(samples, SHARES) for _, samples in rows]
    for position, (label, curve) in enumerate(zip(labels, curves, strict=True)):
        axes.plot(curve, SHARES, color=colour(position), linestyle=line(position), linewidth=1.5, label=label)
    low, high = min(float(curve[0]) for curve in curves), max(float(curve[-3]) for curve in curves)
    if low > 0 and high > WIDE * low:
        logarithmic(axes)
    axes.set(xlabel="end to end (ms per image)", ylabel="share of samples", xlim=(low / 1.05, high * 1.08), ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=columns)
    return figure
