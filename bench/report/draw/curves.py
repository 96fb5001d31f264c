"""Curves of the cases of a run: under load, of their probabilities, and by the severity of corruptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from bench.records.store import layout
from bench.records.throughput import Loads, Rate, ServerTrial
from bench.report.draw.figure import GREY, draw, legend_below, line, look, marker, over_legend, reaches
from bench.report.summary import grouped
from bench.report.summary.probability_curves import ProbabilityCurves
from bench.report.summary.robustness import NATURAL, Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.summary.summarise import RunSummary

LOADS, PROBABILITIES, ROBUSTNESS = "throughput.png", "probabilities.png", "robustness.png"

Points: TypeAlias = Sequence[Sequence[float]]


T = TypeVar("T", ProbabilityCurves, Robustness)


def by_dataset(found: Iterable[T], names: Mapping[str, str]) -> dict[str, list[tuple[str, T]]]:
    """Return data set -> (name, what was found) of each case that has a name by its id."""
    return grouped((one.dataset, (names[one.case_id], one)) for one in found if one.case_id in names)


def draw_curves(summary: RunSummary, folder: Path) -> list[Path]:
    """Draw curves under load, and those of each data set with probabilities or corrupted images; returns the files."""
    loads = [(summary.label_of(row), row.loads) for row in summary.rows if row.loads is not None]
    drawn = []
    if any(_swept(one) or _served(one) for _, one in loads):
        shown = [(label, one) for label, one in loads if one.sweep or one.server]
        drawn = [draw(folder / LOADS, load_curves, shown)]
    labels = {row.case_id: summary.label_of(row) for row in summary.rows}
    drawn += _draw_each(PROBABILITIES, folder, by_dataset(summary.probabilities, labels), probability_curves)
    robustness: dict[str, list[tuple[str, FamilyCurves]]] = {}
    for dataset, of in by_dataset(summary.robustness, labels).items():
        curves = [(label, family_curves(one)) for label, one in of]
        robustness |= {dataset: curves} if any(of_family for _, of_family in curves) else {}
    return drawn + _draw_each(ROBUSTNESS, folder, robustness, robustness_curves, score_label=summary.headline_in_unit)


def _draw_each(
    name: str, folder: Path, groups: Mapping[str, Any], make: Callable[..., Figure], **how: Any
) -> list[Path]:
    """Draw a picture of each data set; the first bears the name, the others that of their data set, too."""
    drawn: list[Path] = []
    for dataset, curves in groups.items():
        further = f"{name.removesuffix('.png')}@{layout.plain_name(dataset)}.png"
        drawn.append(draw(folder / (further if drawn else name), make, curves, **how))
    return drawn


# --------------------------------------------------------------------------- under load


def _swept(loads: Loads) -> list[tuple[int, Rate]]:
    """Return the batch sizes of a sweep whose rate is known, with it."""
    return [(p.batch_size, p.rate) for p in loads.sweep.points if p.rate is not None] if loads.sweep else []


def _served(loads: Loads) -> tuple[ServerTrial, ...]:
    return loads.server.trials if loads.server else ()


def load_curves(loads: Sequence[tuple[str, Loads]]) -> Figure:
    """Return images/s against batch size, and latency against the rate of random arrivals, of what there is any.

    At least one of the models, each with its name, has a batch or a trial.
    """
    figure, labels, columns = over_legend([label for label, _ in loads], 4.1)
    drawn = [one for _, one in loads]
    wanted = [panel for panel, of in ((_batches, _swept), (_trials, _served)) if any(map(of, drawn))]
    panels = np.atleast_1d(figure.subplots(1, len(wanted)))
    entries: dict[str, Any] = {}
    for axes, panel in zip(panels, wanted, strict=True):
        panel(axes, drawn, labels)
        handles, names = axes.get_legend_handles_labels()
        entries = {**dict(zip(names, handles, strict=True)), **entries}
    shown = [label for label in labels if label in entries]
    figure.legend([entries[label] for label in shown], shown, loc="outside lower center", ncols=columns)
    return figure


def _batches(axes: Axes, loads: Sequence[Loads], labels: Sequence[str]) -> None:
    """Images/s by batch size; a ring around the one that was chosen."""
    for position, (one, label) in enumerate(zip(loads, labels, strict=True)):
        if not (swept := _swept(one)):
            continue
        sizes, rates = [size for size, _ in swept], [rate.images_per_s for _, rate in swept]
        bars = reaches((rate.images_per_s, rate.low, rate.high) for _, rate in swept)
        axes.errorbar(
            sizes, rates, yerr=bars, capsize=3, marker=marker(position), markersize=6,
            markeredgecolor="white", label=label, **look(position),
        )  # fmt: skip
        for size, rate in swept:
            if one.sweep is not None and size == one.sweep.chosen_batch:
                ring = {"markersize": 13, "fillstyle": "none", "color": look(position)["color"]}
                axes.plot(size, rate.images_per_s, "o", **ring)
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
        points = {"color": look(position)["color"], "marker": marker(position), "markersize": 6}
        trials = sorted(one.server.trials, key=lambda trial: trial.queries_per_s)
        held = [(t.queries_per_s, t.percentile_ms) for t in trials if t.passed and t.percentile_ms is not None]
        late = [t for t in trials if not t.passed]
        ends = [one.server.bound_ms if t.percentile_ms is None else t.percentile_ms for t in late]
        axes.plot(*_columns(held, 0, 1), linestyle=line(position), label=label, **points)
        axes.plot([t.queries_per_s for t in late], ends, linestyle="none", fillstyle="none", **points)
    bounds = {(one.server.percentile, one.server.bound_ms) for one in loads if one.server is not None}
    for _, bound_ms in sorted(bounds):
        axes.axhline(bound_ms, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    percentiles = ", ".join(f"p{percent:g}" for percent in sorted({percent for percent, _ in bounds}))
    axes.set(xlabel="offered load (queries/s)", ylabel=f"{percentiles} latency (ms)", xlim=(0, None), ylim=(0, None))
    axes.set_title("random arrivals; dashed: bound; hollow: not held", color=GREY)


# --------------------------------------------------------------------------- probabilities


def probability_curves(curves: Sequence[tuple[str, ProbabilityCurves]]) -> Figure:
    """Return reliability and risk of at least one model, and where thresholds were asked for scores and precision."""
    rows = 2 if any(one.thresholds for _, one in curves) else 1
    figure, names, columns = over_legend([label for label, _ in curves], 4.1 * rows)
    panels = figure.subplots(rows, 2).ravel()
    found = [one for _, one in curves]
    _reliability(panels[0], found, names)
    _lines(panels[1], [one.risk for one in found])
    panels[1].set(xlabel="coverage: share of pixels, most confident first", ylabel="share of wrong pixels", xlim=(0, 1))
    panels[1].set_ylim(0, None)
    panels[1].set_title("risk and coverage", color=GREY)
    if rows == 2:
        _thresholds(panels[2], found)
        _lines(panels[3], [one.precision for one in found])
        panels[3].set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
        panels[3].set_title("precision by recall, mean over classes without background", color=GREY)
    legend_below(figure, panels[0], columns)
    return figure


def _reliability(axes: Axes, curves: Sequence[ProbabilityCurves], names: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for position, (one, name) in enumerate(zip(curves, names, strict=True)):
        claimed, right, share = ([point[i] for point in one.reliability] for i in range(3))
        axes.plot(claimed, right, linewidth=1.2, **look(position))
        axes.plot([], [], marker=marker(position), label=name, **look(position))
        # The area of a marker is its share of the pixels, with a least size so that none vanishes.
        axes.scatter(
            claimed, right, s=[12 + 160 * part for part in share], color=look(position)["color"],
            marker=marker(position), edgecolors="white", linewidths=0.6, zorder=3,
        )  # fmt: skip
    axes.set(xlabel="probability of the predicted class", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("reliability; below the diagonal: overconfident; size: pixels", color=GREY)


def _thresholds(axes: Axes, curves: Sequence[ProbabilityCurves]) -> None:
    for position, one in enumerate(curves):
        axes.plot(*_columns(one.thresholds, 0, 2), linewidth=1.6, **look(position))
        axes.plot(*_columns(one.thresholds, 0, 1), linewidth=0.8, **look(position))
    axes.set(xlabel="threshold tau, one for all classes", ylabel="Dice (bold) and IoU", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title("scores by threshold, mean over classes without background", color=GREY)


def _lines(axes: Axes, curves: Iterable[Points]) -> None:
    for position, points in enumerate(curves):
        axes.plot(*_columns(points, 0, 1), linewidth=1.4, **look(position))


def _columns(points: Points, x: int, y: int) -> tuple[list[float], list[float]]:
    return [point[x] for point in points], [point[y] for point in points]


# --------------------------------------------------------------------------- by severity

FamilyCurves: TypeAlias = Mapping[str, Points]
"""Family -> (severity, mean headline over its corruptions); severity 0 is the images as they are."""


def family_curves(one: Robustness) -> FamilyCurves:
    """Return the mean headline over the corruptions of each family, by severity; of severities that all have."""
    values: dict[str, dict[int, list[float | None]]] = {}
    for shift in one.shifts:
        if shift.family != NATURAL and shift.severity is not None:
            values.setdefault(shift.family, {}).setdefault(shift.severity, []).append(shift.value)
    found: dict[str, Points] = {}
    for family, by_severity in values.items():
        points = [(0.0, one.clean)] if one.clean is not None else []
        for severity, of_severity in sorted(by_severity.items()):
            known = [value for value in of_severity if value is not None]
            if known and len(known) == len(of_severity):
                points.append((float(severity), sum(known) / len(known)))
        if len(points) > 1:
            found[family] = points
    return found


def robustness_curves(curves: Sequence[tuple[str, FamilyCurves]], *, score_label: str) -> Figure:
    """Return a panel for each family, of the label and curves of each model."""
    families = list(dict.fromkeys(family for _, of_family in curves for family in of_family))
    rows = -(-len(families) // 3)
    figure, names, columns = over_legend([label for label, _ in curves], 3.2 * rows + 0.4)
    panels = figure.subplots(rows, min(3, len(families)), sharey=True, squeeze=False).ravel()
    for panel, family in zip(panels, families, strict=False):
        for position, (name, (_, of_family)) in enumerate(zip(names, curves, strict=True)):
            points = _columns(of_family.get(family, ()), 0, 1)
            at = {"marker": marker(position), "markersize": 5, "markeredgecolor": "white"}
            panel.plot(*points, label=name, **at, **look(position))
        panel.set(title=family, xlabel="severity", ylim=(0, None))
        panel.set_xticks(range(6))
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    panels[0].set_ylabel(score_label)
    legend_below(figure, panels[0], columns)
    return figure
