"""Score by severity: a panel for each family of corruptions, a line for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records.store import layout
from bench.report.draw.figure import colour, draw, line, marker, over_legend
from bench.report.summary.robustness import NATURAL, Robustness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.report.summary.summarise import RunSummary

PICTURE = "robustness.png"

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Family -> (severity, mean headline over its corruptions); severity 0 is the images as they are."""


def draw_robustness(summary: RunSummary, folder: Path) -> list[Path]:
    """Draw a picture for each data set with corrupted images; returns the files."""
    labels = {row.case_id: summary.label_of(row) for row in summary.rows}
    drawn: list[Path] = []
    for dataset in dict.fromkeys(one.dataset for one in summary.robustness):
        of_dataset = [one for one in summary.robustness if one.dataset == dataset and one.case_id in labels]
        curves = [(labels[one.case_id], family_curves(one)) for one in of_dataset]
        if not any(of_family for _, of_family in curves):
            continue
        path = folder / (f"robustness@{layout.plain_name(dataset)}.png" if drawn else PICTURE)
        draw(path, robustness_curves, curves, score_label=summary.headline_in_unit)
        drawn.append(path)
    return drawn


def family_curves(one: Robustness) -> dict[str, list[tuple[float, float]]]:
    """Return the mean headline over the corruptions of each family, by severity; of severities that all have."""
    values: dict[str, dict[int, list[float | None]]] = {}
    for shift in one.shifts:
        if shift.family != NATURAL and shift.severity is not None:
            values.setdefault(shift.family, {}).setdefault(shift.severity, []).append(shift.value)
    found: dict[str, list[tuple[float, float]]] = {}
    for family, by_severity in values.items():
        points = [(0.0, one.clean)] if one.clean is not None else []
        for severity, of_severity in sorted(by_severity.items()):
            known = [value for value in of_severity if value is not None]
            if known and len(known) == len(of_severity):
                points.append((float(severity), sum(known) / len(known)))
        if len(points) > 1:
            found[family] = points
    return found


def robustness_curves(curves: Sequence[tuple[str, Curves]], *, score_label: str) -> Figure:
    """Return a panel for each family, of the label and curves of each model."""
    families = list(dict.fromkeys(family for _, of_family in curves for family in of_family))
    rows = -(-len(families) // 3)
    figure, names, columns = over_legend([label for label, _ in curves], 3.2 * rows + 0.4)
    panels = figure.subplots(rows, min(3, len(families)), sharey=True, squeeze=False).ravel()
    for panel, family in zip(panels, families, strict=False):
        for position, (name, (_, of_family)) in enumerate(zip(names, curves, strict=True)):
            points = of_family.get(family, ())
            panel.plot(
                [x for x, _ in points], [y for _, y in points], color=colour(position), linestyle=line(position),
                marker=marker(position), markersize=5, markeredgecolor="white", label=name,
            )  # fmt: skip
        panel.set(title=family, xlabel="severity", ylim=(0, None))
        panel.set_xticks(range(6))
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    panels[0].set_ylabel(score_label)
    handles, known = panels[0].get_legend_handles_labels()
    figure.legend(handles, known, loc="outside lower center", ncols=columns)
    return figure
