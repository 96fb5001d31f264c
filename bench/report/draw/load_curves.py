"""Models under load: images per second against batch size, latency against the rate of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.draw.figure import GREY, colour, draw, line, marker, over_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.summary.summarise import RunSummary

PICTURE = "throughput.png"


@dataclass(frozen=True)
class LoadCurve:
    """One model under load.

    Attributes:
        label: Its name.
        batches: (batch size, images/s, low, high) of a sweep; the interval may be None.
        chosen_batch: The sweep's choice.
        trials: (queries/s, latency percentile in ms, whether the bound held), by rising rate; None where the
            trial ended early.
        bound: (percentile, ms) that was asked for.
    """

    label: str
    batches: tuple[tuple[int, float, float | None, float | None], ...]
    chosen_batch: int | None
    trials: tuple[tuple[float, float | None, bool], ...]
    bound: tuple[float, float] | None


def draw_loads(summary: RunSummary, path: Path) -> Path | None:
    """Draw images/s against batch size and latency against offered load; None where neither was measured."""
    curves = []
    for row in summary.rows:
        loads = row.loads
        if loads is None or not (loads.sweep or loads.server):
            continue
        points = loads.sweep.points if loads.sweep else ()
        trials = sorted(loads.server.trials, key=lambda trial: trial.queries_per_s) if loads.server else []
        curves.append(
            LoadCurve(
                label=summary.label_of(row),
                batches=tuple(
                    (p.batch_size, p.rate.images_per_s, p.rate.low, p.rate.high) for p in points if p.rate is not None
                ),
                chosen_batch=loads.sweep.chosen_batch if loads.sweep else None,
                trials=tuple((t.queries_per_s, t.percentile_ms, t.passed) for t in trials),
                bound=(loads.server.percentile, loads.server.bound_ms) if loads.server else None,
            )
        )
    if not any(curve.batches or curve.trials for curve in curves):
        return None
    draw(path, load_curves, curves)
    return path


def load_curves(curves: Sequence[LoadCurve]) -> Figure:
    """Return a panel for batch sizes and a panel for random arrivals, those that there is something for.

    At least one of the curves, one per model, has a batch or a trial.
    """
    figure, labels, columns = over_legend([curve.label for curve in curves], 4.1)
    wanted = [
        panel
        for panel, there in ((_batches, "batches"), (_trials, "trials"))
        if any(getattr(curve, there) for curve in curves)
    ]
    panels = np.atleast_1d(figure.subplots(1, len(wanted)))
    for axes, panel in zip(panels, wanted, strict=True):
        panel(axes, curves, labels)
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        entries |= {name: handle for name, handle in zip(names, handles, strict=True) if name not in entries}
    shown = [label for label in labels if label in entries]
    figure.legend([entries[label] for label in shown], shown, loc="outside lower center", ncols=columns)
    return figure


def _batches(axes: Axes, curves: Sequence[LoadCurve], labels: Sequence[str]) -> None:
    """Images/s by batch size; a ring around the one that was chosen."""
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        if not curve.batches:
            continue
        sizes, rates, lows, highs = (list(column) for column in zip(*curve.batches, strict=True))
        below = [max(0.0, r - (r if low is None else low)) for r, low in zip(rates, lows, strict=True)]
        above = [max(0.0, (r if high is None else high) - r) for r, high in zip(rates, highs, strict=True)]
        axes.errorbar(
            sizes, rates, yerr=[below, above], capsize=3, color=colour(position), linestyle=line(position),
            marker=marker(position), markersize=6, markeredgecolor="white", label=label,
        )  # fmt: skip
        chosen = [(size, rate) for size, rate in zip(sizes, rates, strict=True) if size == curve.chosen_batch]
        for size, rate in chosen:
            axes.plot(size, rate, "o", markersize=13, fillstyle="none", color=colour(position))
    axes.set_xscale("log", base=2)
    every = sorted({batch[0] for curve in curves for batch in curve.batches})
    axes.set_xticks(every, [str(size) for size in every])
    axes.set(xlabel="batch size", ylabel="images/s", ylim=(0, None))
    axes.set_title("pushed through; bars: 95 % interval; ring: chosen", color=GREY)


def _trials(axes: Axes, curves: Sequence[LoadCurve], labels: Sequence[str]) -> None:
    """Latency by rate of arrivals; hollow, and on the bound where the trial ended early, if the bound did not hold."""
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        if not curve.trials or curve.bound is None:
            continue
        look: dict[str, Any] = {"color": colour(position), "marker": marker(position), "markersize": 6}
        held = [(rate, ms) for rate, ms, passed in curve.trials if passed and ms is not None]
        late = [(rate, curve.bound[1] if ms is None else ms) for rate, ms, passed in curve.trials if not passed]
        axes.plot([r for r, _ in held], [ms for _, ms in held], linestyle=line(position), label=label, **look)
        axes.plot([r for r, _ in late], [ms for _, ms in late], linestyle="none", fillstyle="none", **look)
    bounds = {curve.bound for curve in curves if curve.bound is not None}
    for _, bound_ms in sorted(bounds):
        axes.axhline(bound_ms, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    percentiles = ", ".join(f"p{percent:g}" for percent in sorted({percent for percent, _ in bounds}))
    axes.set(xlabel="offered load (queries/s)", ylabel=f"{percentiles} latency (ms)", xlim=(0, None), ylim=(0, None))
    axes.set_title("random arrivals; dashed: bound; hollow: not held", color=GREY)
