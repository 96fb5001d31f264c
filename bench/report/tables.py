"""The tables that several forms share, as pandas frames of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.records import Recipe, Score
from bench.report.draw.numbers import MISSING, count, mebibytes, milliseconds, probability, with_interval
from bench.report.summary.latency import LatencySummary, Timing
from bench.report.summary.origins import Origin, several_origins
from bench.report.summary.rows import Row, ScoreCell
from bench.report.summary.seeds import AcrossSeeds
from bench.report.summary.summarise import RunSummary
from bench.report.summary.training_progress import SHARES, TrainingProgress
from bench.score.stats.pareto import Point, pareto_front

if TYPE_CHECKING:
    import pandas as pd


def results_table(summary: RunSummary) -> pd.DataFrame:
    """The headline table: one row per case, the columns that answer the question."""
    import pandas as pd

    rows = [
        {
            **_names(summary, row),
            "parameters": count(row.parameters),
            f"{summary.headline} (0–1)": _headline(row),
            **_speed(summary, row),
            "verdict": _verdict(row),
        }
        for row in summary.rows
    ]
    return pd.DataFrame(rows)


def _speed(summary: RunSummary, row: Row) -> dict[str, str]:
    """The columns of what is timed; none where nothing is."""
    if not summary.measurement.times:
        return {}
    start = " from file" if summary.measurement.input == "file" else ""
    tail = max(summary.measurement.percentiles)
    return {
        f"end-to-end{start} p50 ms/image": _timing(_at(row, 50.0)),
        **({f"p{tail:g} ms/image": _timing(_at(row, tail))} if tail > 50 else {}),
        "throughput images/s": _throughput(row.latency),
        "peak host MiB": mebibytes(row.host_rss_peak_bytes),
        **_device_memory(summary, row),
        "Pareto-optimal": _pareto_optimal(row),
    }


def stages_table(summary: RunSummary) -> pd.DataFrame:
    """Where the time goes: the staged clock, and what its synchronisation costs."""
    import pandas as pd

    rows = []
    for row in summary.rows:
        if row.latency is None:
            continue
        latency = row.latency
        device = latency.device_infer
        entry = {
            **_names(summary, row),
            **{f"{stage} ms": _timing(timing) for stage, timing in latency.stages.items()},
            **{f"{stage} {_percentile(t)} ms": _tail(t) for stage, t in latency.stage_tails.items()},
            "sum of stages ms": milliseconds(latency.staged_total.ms_per_image if latency.staged_total else None),
            "synchronisation overhead %": MISSING
            if latency.sync_overhead is None
            else f"{100 * latency.sync_overhead:+.1f}",
            "first call ms": milliseconds(latency.first_call_ms.median if latency.first_call_ms else None),
        }
        if latency.input == "array":
            decode = latency.decode_ms_per_image
            entry["decode ms/image"] = milliseconds(decode.median if decode else None)
        if device is not None:
            entry["device infer ms"] = milliseconds(device.ms_per_image)
            entry["launch-bound index"] = _launch_bound(latency)
        rows.append(entry)
    return pd.DataFrame(rows)


def _launch_bound(latency: LatencySummary) -> str:
    if latency.launch_bound_index is None:
        return MISSING
    return f"{latency.launch_bound_index:.2f}{', launch bound' if latency.launch_bound else ''}"


def scores_table(summary: RunSummary) -> pd.DataFrame:
    """Every score of the suite, with intervals; instance models also at the threshold that is best for them."""
    import pandas as pd

    oracles = {cell.label for row in summary.rows for cell in row.scores if cell.score.oracle is not None}
    rows = []
    for row in summary.rows:
        if not row.scores:
            continue
        cells = {name: text for cell in row.scores for name, text in _cells(cell, oracles).items()}
        scored = row.headline.classes_scored if row.headline else None
        rows.append(
            {
                **_names(summary, row),
                **cells,
                "classes scored": count(scored),
                "images": count(row.scores[0].score.images),
            }
        )
    return pd.DataFrame(rows)


def _cells(cell: ScoreCell, oracles: set[str]) -> dict[str, str]:
    """A score, and beside it that of the best threshold where any row has one."""
    shown = {cell.label: _score(cell.score)}
    if cell.label not in oracles:
        return shown
    found = cell.score.oracle
    oracle = MISSING if found is None else f"{found.value:.3f} (τ = {found.tau:g})"
    return {**shown, f"{cell.label} at best τ, an oracle": oracle}


def parts_tables(summary: RunSummary) -> dict[str, pd.DataFrame]:
    """Companion figures of each metric that has them (AP50 of an AP, SQ of a PQ): heading -> table."""
    import pandas as pd

    rows: dict[str, list[dict[str, str]]] = {}
    for row in summary.rows:
        for cell in row.scores:
            if cell.score.parts:
                figures = {part: MISSING if v is None else f"{v:.3f}" for part, v in cell.score.parts.items()}
                entry = {**_names(summary, row), cell.label: _score(cell.score), **figures}
                rows.setdefault(f"{cell.label} in detail (0–1)", []).append(entry)
    return {heading: pd.DataFrame(entries) for heading, entries in rows.items()}


def classes_table(summary: RunSummary) -> pd.DataFrame:
    """The headline metric per class, a column per model."""
    import pandas as pd

    columns: dict[str, dict[str, str]] = {}
    for row in summary.rows:
        if row.headline is None or not row.headline.per_class:
            continue
        name = " · ".join(_names(summary, row).values())
        columns[name] = {k: MISSING if v is None else f"{v:.3f}" for k, v in row.headline.per_class.items()}
    frame = pd.DataFrame(columns)
    frame.index.name = "class"
    return frame.reset_index()


def comparisons_table(summary: RunSummary) -> pd.DataFrame:
    """Every model against the best of its data set: the paired difference and the ratio of latencies."""
    import pandas as pd

    rows = {row.case_id: row for row in summary.rows}
    entries = []
    for one in summary.comparisons:
        entries.append(
            {
                **_names(summary, rows[one.other]),
                "against": " · ".join(_names(summary, rows[one.best]).values()),
                f"Δ {summary.headline} (best − this)": with_interval(one.difference, one.low, one.high, default=3),
                "p (Holm)": probability(one.p_holm),
                "Δ significant": _yes_or_no(one.significant),
                "latency ratio (this / best)": with_interval(one.slower, one.slower_low, one.slower_high, default=2),
                "ratio significant": _yes_or_no(one.slower_significant),
            }
        )
    return pd.DataFrame(entries)


def training_table(summary: RunSummary) -> pd.DataFrame:
    """How each model was trained."""
    import pandas as pd

    rows = [
        {
            **_names(summary, row),
            "training s": MISSING if row.trained_s is None else f"{row.trained_s:.1f}",
            "seed": count(row.recipe.seed) if row.recipe else MISSING,
            "batch": count(row.recipe.batch_size) if row.recipe else MISSING,
            "loss": row.recipe.loss if row.recipe else MISSING,
            "optimiser": f"{row.recipe.optimizer} {row.recipe.learning_rate:g}" if row.recipe else MISSING,
            "arithmetic": _arithmetic(row.recipe),
        }
        for row in summary.rows
        if row.trained_steps is not None
    ]
    return pd.DataFrame(rows)


def budget_table(summary: RunSummary) -> pd.DataFrame:
    """What each training made of its budget: how far, how fast, and how good on the way and at the end."""
    import pandas as pd

    cheap = _cheap_and_good(summary)
    names = dict.fromkeys(row.course.validated for row in summary.rows if row.course and row.course.validated)
    rows = []
    for row in summary.rows:
        course = row.course
        if course is None:
            continue
        entry = {
            **_names(summary, row),
            "training s": f"{course.train_s:.1f}",
            "steps": count(course.steps),
            "images seen": count(course.images),
            "images/s": MISSING if course.images_per_s is None else f"{course.images_per_s:.1f}",
            **{column: text for name in names for column, text in _at_shares(course, name).items()},
            **(
                {"s to 90 % of final": MISSING if course.nearly_s is None else f"{course.nearly_s:.1f}"}
                if names
                else {}
            ),
            "best step": count(course.best_step),
            f"test {summary.headline} (0–1)": _headline(row),
        }
        if cheap is not None:
            entry["none better in less training"] = _yes_or_no(cheap.get(row.case_id))
        rows.append(entry)
    return pd.DataFrame(rows)


def _at_shares(course: TrainingProgress, name: str) -> dict[str, str]:
    """The columns of one validated quantity; a training that validated another one has dashes."""
    values = course.at_shares if course.validated == name else (None,) * len(SHARES)
    return {
        f"val {name} at {100 * share:g} % (0–1)": MISSING if value is None else f"{value:.3f}"
        for share, value in zip(SHARES, values, strict=True)
    }


DEARER = 1.1
"""Ratio of the longest to the shortest training from which it is told who is better in less time."""


def _cheap_and_good(summary: RunSummary) -> dict[str, bool] | None:
    """Case id -> whether it is on the front of test score and training seconds of its data set.

    None where all trained equally long: then milliseconds would decide.
    """
    rows = [r for r in summary.rows if r.trained_s and r.headline is not None and r.headline.value is not None]
    seconds = [row.trained_s or 0.0 for row in rows]
    if not rows or max(seconds) < DEARER * min(seconds):
        return None
    sign = 1 if summary.higher_is_better else -1
    found: dict[str, bool] = {}
    for dataset in {row.dataset for row in rows}:
        group = [row for row in rows if row.dataset == dataset]
        values = [row.headline.value or 0.0 for row in group if row.headline is not None]
        front = pareto_front([Point(sign * v, row.trained_s or 0.0) for v, row in zip(values, group, strict=True)])
        found |= {row.case_id: index in front for index, row in enumerate(group)}
    return found


def seeds_table(summary: RunSummary) -> pd.DataFrame:
    """Every score of the suite over the seeds of each model."""
    import pandas as pd

    labels = {cell.score.metric: cell.label for row in summary.rows for cell in row.scores}
    several = len({group.dataset for group in summary.seed_groups}) > 1
    targets = len({group.target for group in summary.seed_groups}) > 1
    rows = [
        {
            "model": group.model,
            **({"data set": group.dataset} if several else {}),
            **({"target": group.target} if targets else {}),
            "seeds": ", ".join(str(seed) for seed in group.seeds),
            **{
                column: text
                for over in group.metrics
                for column, text in (
                    (f"{labels.get(over.metric, over.metric)}, mean", _over_seeds(over)),
                    (f"{labels.get(over.metric, over.metric)}, sd", MISSING if over.sd is None else f"{over.sd:.4f}"),
                )
            },
        }
        for group in summary.seed_groups
    ]
    return pd.DataFrame(rows)


def _over_seeds(over: AcrossSeeds) -> str:
    return with_interval(over.mean, over.low, over.high, default=3)


def _arithmetic(recipe: Recipe | None) -> str:
    if recipe is None:
        return MISSING
    return recipe.precision + (", channels last" if recipe.channels_last else "")


def origins_table(summary: RunSummary) -> pd.DataFrame:
    """Which origin each job of a row has, and its commit; empty where all jobs have one."""
    import pandas as pd

    if not several_origins(row.origins for row in summary.rows):
        return pd.DataFrame()
    commit = {origin.name: _commit(origin) for origin in summary.origins}
    kinds = list(dict.fromkeys(kind for row in summary.rows for kind in row.origins))

    def told(names: tuple[str, ...]) -> str:
        return ", ".join(f"{name} ({commit[name]})" if name in commit else name for name in names) or MISSING

    return pd.DataFrame(
        {**_names(summary, row), **{kind: told(row.origins.get(kind, ())) for kind in kinds}} for row in summary.rows
    )


def _commit(origin: Origin) -> str:
    return (origin.commit or "unknown")[:12] + (" + changes" if origin.dirty else "")


def failures_table(summary: RunSummary) -> pd.DataFrame:
    """Jobs that did not end well, with the command that runs just that job again."""
    import pandas as pd

    rows = [
        {
            "case": failure.case_id,
            "job": f"{failure.kind} r{failure.replicate}" if failure.kind == "time" else failure.kind,
            "ended": failure.status,
            "reason": failure.reason,
            "run it again": failure.command,
        }
        for failure in summary.failures
    ]
    return pd.DataFrame(rows)


def _names(summary: RunSummary, row: Row) -> dict[str, str]:
    """The columns that name a row; those in which all rows agree are left to the heading."""
    names = {"model": row.model}
    if len({r.dataset for r in summary.rows}) > 1:
        names["data set"] = row.dataset
    if len({r.target for r in summary.rows}) > 1:
        names["target"] = row.target
    return names


def _yes_or_no(value: bool | None) -> str:
    return MISSING if value is None else "yes" if value else "no"


def _pareto_optimal(row: Row) -> str:
    """Whether it is Pareto-optimal, and in what share of the resamples it is."""
    if row.pareto_optimal is None or row.pareto_probability is None:
        return _yes_or_no(row.pareto_optimal)
    percent = 100 * row.pareto_probability
    share = "> 99 %" if percent > 99 else "< 1 %" if percent < 1 else f"{percent:.0f} %"
    return f"{_yes_or_no(row.pareto_optimal)} ({share})"


def _device_memory(summary: RunSummary, row: Row) -> dict[str, str]:
    if all(r.peak_device_bytes is None for r in summary.rows):
        return {}
    return {"peak device MiB": mebibytes(row.peak_device_bytes)}


def _at(row: Row, percent: float) -> Timing | None:
    return row.latency.end_to_end_at(percent) if row.latency else None


def _headline(row: Row) -> str:
    return _score(row.headline) if row.headline else MISSING


def _score(score: Score) -> str:
    if score.value is None:
        return f"undefined: {score.undefined_because}"
    return with_interval(score.value, score.low, score.high, default=3)


def _timing(timing: Timing | None) -> str:
    if timing is None:
        return MISSING
    if timing.ms_per_image is None:
        return timing.missing or MISSING
    return with_interval(timing.ms_per_image, timing.ms_per_image_low, timing.ms_per_image_high, default=2)


def _tail(timing: Timing | None) -> str:
    """A tail percentile: alone where there is one, else what is missing."""
    if timing is None:
        return MISSING
    return timing.missing or MISSING if timing.ms_per_image is None else milliseconds(timing.ms_per_image)


def _percentile(timing: Timing) -> str:
    return f"p{timing.percentile:g}"


def _throughput(latency: LatencySummary | None) -> str:
    if latency is None or latency.images_per_s is None:
        return MISSING
    return (
        f"{latency.images_per_s.median:.3g}"
        if latency.images_per_s.median < 100
        else f"{latency.images_per_s.median:.0f}"
    )


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
