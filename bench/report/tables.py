"""The tables that several forms share, as text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from bench.records import Score
from bench.report.draw.numbers import (
    MISSING,
    count,
    fixed,
    mebibytes,
    percent,
    probability,
    share_of,
    significant,
    with_interval,
)
from bench.report.summary.latency import LatencySummary, Timing
from bench.report.summary.origins import several_origins
from bench.report.summary.rows import Row, ScoreCell, best_cases
from bench.report.summary.seeds import SeedGroup
from bench.report.summary.summarise import SHARE, RunSummary
from bench.report.text_table import TextTable


def results_table(summary: RunSummary, *, means: bool = True) -> TextTable:
    """Return the headline table: a row per case, the columns that answer the question.

    With `means` a row with mean and standard deviation stands above the seeds of each model.
    """
    first_of = {group.case_ids[0]: group for group in summary.seed_groups}
    score, rows = summary.headline_in_unit, []
    device_memory = any(row.peak_device_bytes is not None for row in summary.rows)
    for row in summary.rows:
        entry = {
            **summary.columns_of(row),
            "parameters": count(row.parameters),
            score: headline_cell(row),
            **_speed(summary, row, device_memory=device_memory),
            "verdict": _verdict(row),
        }
        group = first_of.get(row.case_id)
        if means and group is not None:
            rows.append({**dict.fromkeys(entry, ""), **mean_row(summary, group)})
        rows.append(entry)
    return TextTable(rows)


def mean_row(summary: RunSummary, group: SeedGroup) -> dict[str, str]:
    """Return the cells of `results_table` for all seeds of a model together: mean ± standard deviation."""
    rows = [row for row in summary.rows if row.case_id in group.case_ids]
    over = group.metrics[0]
    score = MISSING if over.mean is None or over.sd is None else f"{over.mean:.3f} ± {over.sd:.3f}"
    cells = {
        **summary.columns_of(rows[0]),
        "model": f"{group.model}, mean ± sd of {len(group.seeds)} seeds",
        "parameters": count(rows[0].parameters),
        summary.headline_in_unit: score,
    }
    times = [timing.ms_per_image for row in rows if (timing := row.timing()) is not None and timing.ms_per_image]
    if len(times) > 1:
        column = next(iter(_speed(summary, rows[0])))
        cells[column] = f"{significant(mean(times))} ± {significant(stdev(times))}"
    return cells


def _speed(summary: RunSummary, row: Row, *, device_memory: bool = False) -> dict[str, str]:
    """The columns of what is timed; none where nothing is."""
    if not summary.measurement.times:
        return {}
    start = " from file" if summary.measurement.input == "file" else ""
    tail = max(summary.measurement.percentiles)
    return {
        f"end-to-end{start} p50 ms/image": _timing(row.timing()),
        **({f"p{tail:g} ms/image": _timing(row.timing(tail))} if tail > 50 else {}),
        "throughput images/s": _throughput(row.latency),
        "peak host MiB": mebibytes(row.host_rss_peak_bytes),
        **({"peak device MiB": mebibytes(row.peak_device_bytes)} if device_memory else {}),
        "Pareto-optimal": _pareto_optimal(row),
    }


def stages_table(summary: RunSummary) -> TextTable:
    """Return where the time goes: the staged clock, and what its synchronisation costs."""
    rows = []
    for row in summary.rows:
        if row.latency is None:
            continue
        latency = row.latency
        device = latency.device_infer
        entry = {
            **summary.columns_of(row),
            **{f"{stage} ms": _timing(timing) for stage, timing in latency.stages.items()},
            **{f"{stage} p{t.percentile:g} ms": _timing(t, alone=True) for stage, t in latency.stage_tails.items()},
            "sum of stages ms": significant(latency.staged_total.ms_per_image if latency.staged_total else None),
            "synchronisation overhead %": percent(latency.sync_overhead, 1, sign="+"),
            "first call ms": significant(latency.first_call_ms.median if latency.first_call_ms else None),
        }
        if latency.input == "array":
            decode = latency.decode_ms_per_image
            entry["decode ms/image"] = significant(decode.median if decode else None)
        if device is not None:
            entry["infer by events ms"] = significant(device.ms_per_image)
        rows.append(entry)
    return TextTable(rows)


def scores_table(summary: RunSummary) -> TextTable:
    """Return every score of the suite, with intervals; instance models also at the threshold that is best for them."""
    oracles = {cell.label for row in summary.rows for cell in row.scores if cell.score.oracle is not None}
    rows = []
    for row in summary.rows:
        if not row.scores:
            continue
        cells = {name: text for cell in row.scores for name, text in _cells(cell, oracles).items()}
        scored = row.headline.classes_scored if row.headline else None
        rows.append(
            {
                **summary.columns_of(row),
                **cells,
                "classes scored": count(scored),
                "images": _images(row.scores[0].score),
            }
        )
    return TextTable(rows)


def _images(score: Score) -> str:
    groups = "" if score.groups is None else f" in {count(score.groups)} group{'s' * (score.groups > 1)}"
    return f"{count(score.images)}{groups}"


def _cells(cell: ScoreCell, oracles: set[str]) -> dict[str, str]:
    """A score, and beside it that of the best threshold where any row has one."""
    label = cell.label if cell.score.unit is None else f"{cell.label} ({cell.score.unit})"
    shown = {label: score_cell(cell.score)}
    if cell.label not in oracles:
        return shown
    found = cell.score.oracle
    oracle = MISSING if found is None else f"{found.value:.3f} (τ = {found.tau:g})"
    return {**shown, f"{cell.label} at best τ, an oracle": oracle}


def parts_tables(summary: RunSummary, without: Sequence[str] = ()) -> dict[str, TextTable]:
    """Companion figures and counts of each metric that has them (AP50 of an AP, missed objects): heading -> table.

    Args:
        summary: The summary that they show.
        without: Names of metrics that are shown elsewhere.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in summary.rows:
        for cell in row.scores:
            if (cell.score.parts or cell.score.counts) and cell.score.metric not in without:
                figures = {part: fixed(v) for part, v in cell.score.parts.items()}
                counted = {name: count(number) for name, number in cell.score.counts.items()}
                entry = {**summary.columns_of(row), cell.label: score_cell(cell.score), **figures, **counted}
                rows.setdefault(f"{cell.label} in detail ({cell.score.unit or SHARE})", []).append(entry)
    return {heading: TextTable(entries) for heading, entries in rows.items()}


MOST_COLUMNS = 40
"""Rows that have a column of their own in a table: of more rows those with the best headline."""


def with_classes(summary: RunSummary) -> list[Row]:
    """Rows whose headline is told per class, as many as a table has columns for."""
    rows = [row for row in summary.rows if row.headline is not None and row.headline.per_class]
    chosen = best_cases(rows, MOST_COLUMNS, higher_is_better=summary.higher_is_better)
    return [row for row in rows if row.case_id in chosen]


def per_class_heading(summary: RunSummary) -> str:
    """Heading of `classes_table`, which says which of very many rows it is of."""
    count = sum(row.headline is not None and bool(row.headline.per_class) for row in summary.rows)
    of_best = f", the {MOST_COLUMNS} best of {count} rows" if count > MOST_COLUMNS else ""
    return f"{summary.headline} per class ({summary.unit}){of_best}"


def classes_table(summary: RunSummary) -> TextTable:
    """Return the headline metric per class, a column per model; see `with_classes`."""
    columns: dict[str, dict[str, str]] = {}
    for row in with_classes(summary):
        assert row.headline is not None  # see with_classes
        name = summary.label_of(row)
        columns[name] = {k: fixed(v) for k, v in row.headline.per_class.items()}
    classes = dict.fromkeys(name for of_class in columns.values() for name in of_class)
    return TextTable(
        {"class": spec, **{name: of_class.get(spec, MISSING) for name, of_class in columns.items()}} for spec in classes
    )


def comparisons_table(summary: RunSummary) -> TextTable:
    """Return every model against the best of its data set: the paired difference and the ratio of latencies."""
    rows = {row.case_id: row for row in summary.rows}
    return TextTable(
        {
            **summary.columns_of(rows[one.other]),
            "against": summary.label_of(rows[one.best]),
            f"Δ {summary.headline} (best − this)": with_interval(one.difference, one.low, one.high, default=3),
            "p (Holm)": probability(one.p_holm),
            "Δ significant": yes_or_no(one.significant),
            "latency ratio (this / best)": with_interval(one.slower, one.slower_low, one.slower_high, default=2),
            "ratio p (Holm)": probability(one.slower_p_holm),
            "ratio significant": yes_or_no(one.slower_significant),
        }
        for one in summary.comparisons
    )


def origins_table(summary: RunSummary) -> TextTable:
    """Return which origin each job of a row has, and its commit; empty where all jobs have one."""
    if not several_origins(row.origins for row in summary.rows):
        return TextTable([])
    commit = {
        origin.name: (origin.commit or "unknown")[:12] + (" + changes" if origin.dirty else "")
        for origin in summary.origins
    }
    kinds = list(dict.fromkeys(kind for row in summary.rows for kind in row.origins))

    def describe(names: tuple[str, ...]) -> str:
        return ", ".join(f"{name} ({commit[name]})" if name in commit else name for name in names) or MISSING

    return TextTable(
        {**summary.columns_of(row), **{kind: describe(row.origins.get(kind, ())) for kind in kinds}}
        for row in summary.rows
    )


def failures_table(summary: RunSummary) -> TextTable:
    """Jobs that did not end well, with the command that runs just that job again."""
    return TextTable(
        {
            "case": failure.case_id,
            "job": f"{failure.kind} r{failure.replicate}" if failure.kind == "time" else failure.kind,
            "ended": failure.status,
            "reason": failure.reason,
            "run it again": failure.command,
        }
        for failure in summary.failures
    )


def _pareto_optimal(row: Row) -> str:
    """Return whether it is Pareto-optimal, and in what share of the resamples it is."""
    if row.pareto_optimal is None or row.pareto_probability is None:
        return yes_or_no(row.pareto_optimal)
    return f"{yes_or_no(row.pareto_optimal)} ({share_of(row.pareto_probability)})"


def _timing(timing: Timing | None, *, alone: bool = False) -> str:
    """Return a percentile with its interval, or alone; what is missing where there is none."""
    if timing is None or timing.ms_per_image is None:
        return (timing.missing if timing else None) or MISSING
    if alone:
        return significant(timing.ms_per_image)
    return with_interval(timing.ms_per_image, timing.ms_per_image_low, timing.ms_per_image_high, default=2)


def _throughput(latency: LatencySummary | None) -> str:
    if latency is None or latency.images_per_s is None:
        return MISSING
    rate = latency.images_per_s.median
    return f"{rate:.3g}" if rate < 100 else f"{rate:.0f}"


def _verdict(row: Row) -> str:
    if row.status != "ok":
        return row.status
    if row.verdict is None:
        return MISSING
    names = ", ".join(reason.name for reason in row.verdict.reasons)
    if row.scored_only:
        return "scored only" + (f" [{names}]" if names else "")
    quick = "quick, " if row.latency and row.latency.quick else ""
    return f"{quick}{row.verdict.state}" + (f" [{names}]" if names else "")


def yes_or_no(value: bool | None) -> str:
    """Return the word for a truth value; a dash where it is not known."""
    return MISSING if value is None else "yes" if value else "no"


def headline_cell(row: Row) -> str:
    """Return the headline score of a row with its interval."""
    return score_cell(row.headline) if row.headline else MISSING


def score_cell(score: Score) -> str:
    """Return a score with its interval, or why it is undefined."""
    if score.value is None:
        return f"undefined: {score.undefined_because}"
    return with_interval(score.value, score.low, score.high, default=3)
