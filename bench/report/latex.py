"""The headline table as LaTeX for a paper: booktabs, the best in bold, intervals, and marks of significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import numpy as np

from bench.metric import load_metric
from bench.report.draw.numbers import digits_for
from bench.report.summary.folds import FoldGroup
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.score.stats.processes import LEAST_PROCESSES, latency_interval

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
}

BEHIND, TIED = r"$^{\downarrow}$", r"$^{\approx}$"
"""Marks of rows: significantly behind the best of their data set, and not distinguishable from it."""

Values: TypeAlias = tuple[float | None, float | None, float | None]
"""A value and the ends of its interval."""

NOTHING: Values = (None, None, None)


@dataclass(frozen=True)
class _Line:
    """A row of the table: a case, or all folds of a model.

    Attributes:
        model, dataset: Its first cells.
        scores: Heading of a metric -> value and ends of its interval.
        ms: Median latency and the ends of its interval; None where none was measured.
        comparable_ms: The same median, None where it must not be used.
        images_per_s: Throughput.
        mark: Mark of significance.
    """

    model: str
    dataset: str
    scores: Mapping[str, Values]
    ms: Values | None
    comparable_ms: float | None
    images_per_s: float | None
    mark: str = ""


def render(summary: RunSummary) -> str:
    """Return a table that needs the packages booktabs and, for its marks, nothing else.

    Folds of a model are one row, the score of all folds' images together; each by itself where some are missing.
    """
    found = _lines(summary)
    datasets = list(dict.fromkeys(line.dataset for line in found))
    several = len(datasets) > 1
    metrics = list(dict.fromkeys(cell.label for row in summary.rows for cell in row.scores))
    timed = summary.measurement.times
    units = {cell.label: cell.score.unit for row in summary.rows for cell in row.scores if cell.score.unit}
    told = [f"{label} ({units[label]})" if label in units else label for label in metrics]
    heads = ["model", *(["data set"] if several else []), *told]
    heads += ["ms/image", "images/s"] if timed else []
    higher = {cell.label: load_metric(cell.score.metric).higher_is_better for r in summary.rows for cell in r.scores}
    lines = [
        "% \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(_caption(summary))}}}",
        rf"  \begin{{tabular}}{{l{'l' if several else ''}{'r' * (len(heads) - 1 - several)}}}",
        r"    \toprule",
        f"    {' & '.join(escaped(head) for head in heads)} \\\\",
    ]
    for dataset in datasets:
        rows = [line for line in found if line.dataset == dataset]
        cells = [_cells(line, rows, {label: higher[label] for label in metrics}, timed, several) for line in rows]
        lines += [r"    \midrule", *(f"    {' & '.join(of_line)} \\\\" for of_line in cells)]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _lines(summary: RunSummary) -> list[_Line]:
    """Return a line for each case, and one for all folds of a model in the place of the first."""
    complete = {group.case_ids[0]: group for group in summary.fold_groups if len(group.folds) == group.of}
    within = {case_id for group in complete.values() for case_id in group.case_ids}
    rows = {row.case_id: row for row in summary.rows}
    found = []
    for row in summary.rows:
        if row.case_id in complete:
            group = complete[row.case_id]
            found.append(_of_folds(summary, group, [rows[one] for one in group.case_ids if one in rows]))
        elif row.case_id not in within:
            found.append(_of_case(summary, row))
    return found


def _of_case(summary: RunSummary, row: Row) -> _Line:
    timing = row.timing()
    ms = None if timing is None else (timing.ms_per_image, timing.ms_per_image_low, timing.ms_per_image_high)
    return _Line(
        model=summary.name_of(row),
        dataset=row.dataset,
        scores={cell.label: (cell.score.value, cell.score.low, cell.score.high) for cell in row.scores},
        ms=ms if ms is not None and ms[0] is not None else None,
        comparable_ms=row.comparable_ms,
        images_per_s=row.latency.images_per_s.median if row.latency and row.latency.images_per_s else None,
        mark=_mark(summary, row),
    )


def _of_folds(summary: RunSummary, group: FoldGroup, rows: Sequence[Row]) -> _Line:
    """Pooled scores with their intervals, and the median latency of the folds, whose networks are alike."""
    each = [_of_case(summary, row) for row in rows]
    known = [line.ms[0] for line in each if line.ms is not None and line.ms[0] is not None]
    usable = [line.comparable_ms for line in each if line.comparable_ms is not None]
    rates = [line.images_per_s for line in each if line.images_per_s is not None]
    scores: dict[str, Values] = {
        summary.headings.get(one.metric, one.metric): (one.pooled.value, one.pooled.low, one.pooled.high)
        if one.pooled is not None
        else (one.mean, None, None)
        for one in group.metrics
    }
    targets = len({other.target for other in summary.fold_groups}) > 1
    return _Line(
        model=f"{group.model} · {group.target}" if targets else group.model,
        dataset=f"{group.dataset}, {group.of} folds",
        scores=scores,
        ms=_over_folds(known),
        comparable_ms=median(usable) if len(usable) == len(rows) else None,
        images_per_s=median(rates) if rates else None,
    )


def _over_folds(known: Sequence[float]) -> Values | None:
    """Return the median of the folds' latencies and its interval: each fold is timed in processes of its own."""
    if len(known) < LEAST_PROCESSES:
        return (known[0], None, None) if known else None
    interval = latency_interval([np.array([ms]) for ms in known], 50.0, seed=0)
    return median(known), interval.low, interval.high


def escaped(text: str) -> str:
    """Return text in one line with every sign that means something to LaTeX made printable.

    >>> escaped("50% of a_b & c")
    '50\\\\% of a\\\\_b \\\\& c'
    """
    return "".join(SPECIAL.get(sign, sign) for sign in " ".join(text.split()))


def _caption(summary: RunSummary) -> str:
    marks = " Arrows: significantly behind the best (p < 0.05, Holm); waves: not distinguishable from it."
    has_marks = any(one.significant is not None for one in summary.comparisons)
    folds = any(len(group.folds) == group.of for group in summary.fold_groups)
    pooled = (
        " Cross-validated: the score of all folds' images together; latency is the median of the folds, its interval "
        "over them."
    )
    return (
        f"{summary.title}. Values with half the width of their 95% intervals; best in bold."
        + (pooled if folds else "")
        + (marks if has_marks else "")
        + (f" Protocol {summary.measurement.protocol}." if summary.measurement.times else "")
    )


def _cells(line: _Line, lines: Sequence[_Line], metrics: Mapping[str, bool], timed: bool, several: bool) -> list[str]:
    """Return the cells of a line; `lines` are those of its data set, `metrics` says whether higher is better."""
    cells = [escaped(line.model), *([escaped(line.dataset)] if several else [])]
    for place, (label, higher) in enumerate(metrics.items()):
        value, low, high = line.scores.get(label, NOTHING)
        others = [v for other in lines if (v := other.scores.get(label, NOTHING)[0]) is not None]
        best = value is not None and value == (max if higher else min)(others)
        cells.append(_cell(value, low, high, best=best) + (line.mark if place == 0 and value is not None else ""))
    if timed:
        fastest = [other.comparable_ms for other in lines if other.comparable_ms is not None]
        is_best = bool(fastest) and line.comparable_ms == min(fastest)
        cells.append("--" if line.ms is None else _cell(*line.ms, best=is_best))
        cells.append("--" if line.images_per_s is None else f"{line.images_per_s:.1f}")
    return cells


def _cell(value: float | None, low: float | None, high: float | None, *, best: bool) -> str:
    if value is None:
        return "--"
    half = None if low is None or high is None else (high - low) / 2
    digits = digits_for(half, default=3, most=4)
    number = f"{value:.{digits}f}"
    number = rf"\textbf{{{number}}}" if best else number
    return number if half is None else rf"{number} $\pm$ {half:.{digits}f}"


def _mark(summary: RunSummary, row: Row) -> str:
    found = next((one for one in summary.comparisons if one.other == row.case_id), None)
    if found is None or found.significant is None:
        return ""
    return BEHIND if found.significant else TIED
