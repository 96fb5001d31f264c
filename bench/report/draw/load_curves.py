"""Models under load: images per second against batch size, latency against the rate of queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.records.throughput import Loads, Rate, ServerTrial
from bench.report.draw.figure import GREY, colour, draw, line, marker, over_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.summary.summarise import RunSummary

PICTURE = "throughput.png"


Measured = tuple[str, Loads]
"""The name of a model, and what was measured of it under load."""


def draw_loads(summary: RunSummary, path: Path) -> Path | None:
    """Draw images/s against batch size and latency against offered load; None where neither was measured."""
    loads = [(summary.label_of(row), row.loads) for row in summary.rows if row.loads is not None]
    loads = [(label, one) for label, one in loads if one.sweep or one.server]
    if not any(_swept(one) or _served(one) for _, one in loads):
        return None
    draw(path, load_curves, loads)
    return path


def _swept(loads: Loads) -> list[tuple[int, Rate]]:
    """Return the batch sizes of a sweep whose rate is known, with it."""
    return [(p.batch_size, p.rate) for p in loads.sweep.points if p.rate is not None] if loads.sweep else []


def _served(loads: Loads) -> tuple[ServerTrial, ...]:
    return loads.server.trials if loads.server else ()


def load_curves(loads: Sequence[Measured]) -> Figure:
    """Return a panel for batch sizes and a panel for random arrivals, those that there is something for.

    At least one of the models has a batch or a trial.
    """
    figure, labels, columns = over_legend([label for label, _ in loads], 4.1)
    drawn = [one for _, one in loads]
    wanted = [panel for panel, of in ((_batches, _swept), (_trials, _served)) if any(map(of, drawn))]
    panels = np.atleast_1d(figure.subplots(1, len(wanted)))
    for axes, panel in zip(panels, wanted, strict=True):
        panel(axes, drawn, labels)
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        entries |= {name: handle for name, handle in zip(names, handles, strict=True) if name not in entries}
    shown = [label for label in labels if label in entries]
    figure.legend([entries[label] for label in shown], shown, loc="outside lower center", ncols=columns)
    return figure


def _batches(axes: Axes, loads: Sequence[Loads], labels: Sequence[str]) -> None:
    """Images/s by batch size; a ring around the one that was chosen."""
    for position, (one, label) in enumerate(zip(loads, labels, strict=True)):
        if not (swept := _swept(one)):
            continue
        sizes, rates = [size for size, _ in swept], [rate.images_per_s for _, rate in swept]
        below = [max(0.0, r.images_per_s - (r.images_per_s if r.low is None else r.low)) for _, r in swept]
        above = [max(0.0, (r.images_per_s if r.high is None else r.high) - r.images_per_s) for _, r in swept]
        axes.errorbar(
            sizes, rates, yerr=[below, above], capsize=3, color=colour(position), linestyle=line(position),
            marker=marker(position), markersize=6, markeredgecolor="white", label=label,
        )  # fmt: skip
        for size, rate in swept:
            if one.sweep is not None and size == one.sweep.chosen_batch:
                axes.plot(size, rate.images_per_s, "o", markersize=13, fillstyle="none", color=colour(position))
    axes.set_xscale("log", base=2)
    every = sorted({size for one in loads for size, _ in _swept(one)})
    axes.set_xticks(every, [str(size) for size in every])
    axes.set(xlabel="batch size", ylabel="images/s", ylim=(0, None))
    axes.set_title("pushed through; bars: 95 % interval; ring: chosen", color=GREY)


def _trials(axes: Axes, loads: Sequence[Loads], labels: Sequence[str]) -> None:
    """Latency by rate of arrivals; hollow, and on the bound where the trial ended early, if the bound did not hold."""
    for position, (one, label) in enumerate(zip(loads, labels, strict=True)):
        if one.server is None or not one.server.trials:
            continue
        look: dict[str, Any] = {"color": colour(position), "marker": marker(position), "markersize": 6}
        trials = sorted(one.server.trials, key=lambda trial: trial.queries_per_s)
        held = [(t.queries_per_s, t.percentile_ms) for t in trials if t.passed and t.percentile_ms is not None]
        late = [t for t in trials if not t.passed]
        ends = [one.server.bound_ms if t.percentile_ms is None else t.percentile_ms for t in late]
        axes.plot([r for r, _ in held], [ms for _, ms in held], linestyle=line(position), label=label, **look)
        axes.plot([t.queries_per_s for t in late], ends, linestyle="none", fillstyle="none", **look)
    bounds = {(one.server.percentile, one.server.bound_ms) for one in loads if one.server is not None}
    for _, bound_ms in sorted(bounds):
        axes.axhline(bound_ms, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    percentiles = ", ".join(f"p{percent:g}" for percent in sorted({percent for percent, _ in bounds}))
    axes.set(xlabel="offered load (queries/s)", ylabel=f"{percentiles} latency (ms)", xlim=(0, None), ylim=(0, None))
    axes.set_title("random arrivals; dashed: bound; hollow: not held", color=GREY)
