"""The headline table as LaTeX for a paper: booktabs, the best in bold, intervals, and marks of significance."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.draw.numbers import digits_for
from bench.report.sentences import row_name
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary

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


def render(summary: RunSummary) -> str:
    """Return a table that needs the packages booktabs and, for its marks, nothing else."""
    datasets = list(dict.fromkeys(row.dataset for row in summary.rows))
    several = len(datasets) > 1
    metrics = list(dict.fromkeys(cell.label for row in summary.rows for cell in row.scores))
    timed = summary.measurement.times
    units = {cell.label: cell.score.unit for row in summary.rows for cell in row.scores if cell.score.unit}
    told = [f"{label} ({units[label]})" if label in units else label for label in metrics]
    heads = ["model", *(["data set"] if several else []), *told]
    heads += ["ms/image", "images/s"] if timed else []
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
        rows = [row for row in summary.rows if row.dataset == dataset]
        lines += [r"    \midrule", *(f"    {_line(summary, row, rows, metrics, several)} \\\\" for row in rows)]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def escaped(text: str) -> str:
    """Return text in one line with every sign that means something to LaTeX made printable.

    >>> escaped("50% of a_b & c")
    '50\\\\% of a\\\\_b \\\\& c'
    """
    return "".join(SPECIAL.get(sign, sign) for sign in " ".join(text.split()))


def _caption(summary: RunSummary) -> str:
    marks = " Arrows: significantly behind the best (p < 0.05, Holm); waves: not distinguishable from it."
    has_marks = any(one.significant is not None for one in summary.comparisons)
    return (
        f"{summary.title}. Values with half the width of their 95% intervals; best in bold."
        + (marks if has_marks else "")
        + (f" Protocol {summary.measurement.protocol}." if summary.measurement.times else "")
    )


def _line(summary: RunSummary, row: Row, rows: Sequence[Row], metrics: Sequence[str], several: bool) -> str:
    cells = [escaped(row_name(summary, row)), *([escaped(row.dataset)] if several else [])]
    for place, label in enumerate(metrics):
        value, low, high = _score(row, label)
        others = [v for other in rows if (v := _score(other, label)[0]) is not None]
        best = value is not None and bool(others) and value == _best(label, row, others)
        cells.append(
            _cell(value, low, high, best=best) + (_mark(summary, row) if place == 0 and value is not None else "")
        )
    if summary.measurement.times:
        timing = row.latency.end_to_end_at(50.0) if row.latency else None
        fastest = [other.comparable_ms for other in rows if other.comparable_ms is not None]
        if timing is None or timing.ms_per_image is None:
            cells.append("--")
        else:
            is_best = bool(fastest) and row.comparable_ms == min(fastest)
            cells.append(_cell(timing.ms_per_image, timing.ms_per_image_low, timing.ms_per_image_high, best=is_best))
        rate = row.latency.images_per_s.median if row.latency and row.latency.images_per_s else None
        cells.append("--" if rate is None else f"{rate:.1f}")
    return " & ".join(cells)


def _score(row: Row, label: str) -> tuple[float | None, float | None, float | None]:
    found = next((cell.score for cell in row.scores if cell.label == label), None)
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def _best(label: str, row: Row, values: Sequence[float]) -> float:
    from bench.metric import load_metric

    name = next(cell.score.metric for cell in row.scores if cell.label == label)
    return (max if load_metric(name).higher_is_better else min)(values)


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
