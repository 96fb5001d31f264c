"""Reports models under load and in deployment runtimes, and how these were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.records import Scenario
from bench.records.throughput import Loads, Offline, Rate, Served, Streamed, Sweep, SweepPoint
from bench.report.draw.numbers import MISSING, count, fixed, mebibytes, percent, significant, with_interval
from bench.report.summary.comparisons import KEPT_SCORE, TOLERANCE, RuntimeComparison
from bench.report.text_table import TextTable

if TYPE_CHECKING:
    from bench.report.summary.summarise import RunSummary

ENDED = {
    "gain": "larger batches gained too little",
    "largest_batch": "the suite's largest batch",
    "memory": "memory was full",
    "unsupported": "the model refuses larger batches",
    "time": "a larger batch would outlast max_s",
}
DISTURBED = "disturbed by other processes; use an idle machine"


def scenarios_table(summary: RunSummary) -> TextTable:
    """Return a row per case and scenario: the result, the bound, the queries it rests on, and whether it holds."""
    entries = []
    for row in summary.rows:
        if row.loads is None:
            continue
        for scenario, cells in _scenarios(row.loads):
            named = zip(("result", "bound", "queries", "valid"), cells, strict=True)
            entries.append({"model": summary.label_of(row), "scenario": scenario.replace("_", " "), **dict(named)})
    return TextTable(entries)


Cells = tuple[str, str, str, str]
"""Result, bound, queries and validity, as text."""


def _scenarios(loads: Loads) -> Iterator[tuple[Scenario, Cells]]:
    for name, streamed in _streams(loads).items():
        yield name, _streamed(streamed)
    if loads.server is not None:
        yield "server", _served(loads.server)
    if loads.offline is not None:
        yield "offline", _offline(loads.offline)
    for scenario, reason in loads.refused.items():
        yield scenario, (MISSING, MISSING, MISSING, f"no: {reason}")


def _streams(loads: Loads) -> dict[Scenario, Streamed]:
    found: dict[Scenario, Streamed | None] = {"single_stream": loads.single_stream, "multi_stream": loads.multi_stream}
    return {name: streamed for name, streamed in found.items() if streamed is not None}


def _streamed(streamed: Streamed) -> Cells:
    tail = streamed.tail
    each = "" if streamed.images_per_query == 1 else f" per {streamed.images_per_query} images"
    result = MISSING if tail.ms is None else f"p{tail.percentile:g} {significant(tail.ms)} ms{each}"
    valid = f"no: {tail.missing}; raise throughput.max_s" if tail.missing else _valid(disturbed=streamed.disturbed)
    return result, MISSING, count(tail.queries), valid


def _served(served: Served) -> Cells:
    bound = f"p{served.percentile:g} ≤ {served.bound_ms:g} ms"
    held = [trial for trial in served.trials if trial.queries_per_s == served.queries_per_s]
    if not held:
        return MISSING, bound, count(sum(trial.answered for trial in served.trials)), f"no: {served.missing}"
    result = f"{_rate(held[0].queries_per_s)} queries/s"
    failed = "" if served.fails_at is None else f" (fails at {_rate(served.fails_at)})"
    disturbed = any(trial.disturbed for trial in served.trials)
    return result + failed, bound, count(held[0].answered), _valid(disturbed=disturbed)


def _offline(offline: Offline) -> Cells:
    rate = offline.rate
    result = f"{_images_per_s(rate)} images/s in batches of {offline.batch_size}"
    return result, MISSING, f"{count(rate.images)} images", _valid(disturbed=rate.disturbed)


def _valid(*, disturbed: bool) -> str:
    return f"flagged: {DISTURBED}" if disturbed else "yes"


def sweep_table(summary: RunSummary) -> TextTable:
    """Return a row per case and batch size."""
    entries = []
    for row in summary.rows:
        if row.loads is None or row.loads.sweep is None:
            continue
        before: Rate | None = None
        for point in row.loads.sweep.points:
            entries.append({"model": summary.label_of(row), **_point(row.loads.sweep, point, before)})
            before = point.rate
    return TextTable(entries).without_missing(("peak device MiB",))


def _point(sweep: Sweep, point: SweepPoint, before: Rate | None) -> dict[str, str]:
    gain = MISSING
    if before is not None and point.rate is not None:
        gain = f"{100 * (point.rate.images_per_s / before.images_per_s - 1):+.1f}"
    return {
        "batch": str(point.batch_size),
        "images/s": MISSING if point.rate is None else _images_per_s(point.rate),
        "gain %": gain,
        "peak device MiB": mebibytes(point.peak_device_bytes),
        "peak host MiB": mebibytes(point.host_rss_peak_bytes),
        "ended": _ended(sweep, point),
    }


def _ended(sweep: Sweep, point: SweepPoint) -> str:
    if point.rate is None:
        names = {"oom_device": "out of device memory", "oom_host": "out of host memory"}
        return f"{names.get(point.ended, point.ended)}: {point.reason}"
    chosen = "chosen" if point.batch_size == sweep.chosen_batch else "measured"
    last = f"; ended: {ENDED[sweep.stopped_by]}" if point is sweep.points[-1] else ""
    return chosen + last + (", disturbed" if point.rate.disturbed else "")


def _images_per_s(rate: Rate) -> str:
    return with_interval(rate.images_per_s, rate.low, rate.high, default=1)


def _rate(per_s: float) -> str:
    return f"{per_s:.3g}" if per_s < 1000 else f"{per_s:.0f}"


def how_loaded(summary: RunSummary) -> list[str]:
    """Return how the loads were made, and what they are not; empty without any."""
    loads = [row.loads for row in summary.rows if row.loads is not None]
    if not loads:
        return []
    told = [
        "Loads are named after MLPerf Inference's scenarios; none is an MLPerf result: there is no LoadGen, no audit, "
        "no required data set or accuracy target, measurements last seconds instead of ten minutes, and one process "
        "makes load and predictions. Queries are decoded images in memory, also where end to end begins at files.",
        "Tail latencies are upper bounds by LoadGen's early stopping: with 99 % confidence at least that share of all "
        "queries is as fast or faster. They need 64 queries for p90 and 662 for p99; with fewer there is no number.",
    ]
    if any(load.sweep for load in loads):
        told.append(
            "Batch sizes: each is warmed up, then pushed through, on a GPU with overlapping stages, with a 95 % "
            "interval by Student's t over five blocks of the pass. The sweep ends where memory is full or two sizes "
            "in a row gain too little; chosen is the last batch that was worth it. *offline* measures that batch anew."
        )
    if any(load.server for load in loads):
        told.append(
            "*server*: arrivals are a Poisson process with a recorded seed, answered by one loop, first come first "
            "served; a latency runs from the moment a query was due to its completion, so a wait in line counts. The "
            "rate is the largest that held the bound in a bisection; a trial ends as soon as more queries are late "
            "than may be. Queueing makes latencies correlated, which early stopping does not model, so other arrivals "
            "may move the rate by some per cent."
        )
    return told


def csv_cells(loads: Loads) -> dict[str, object]:
    """Raw numbers for a row of the CSV; a column for everything that was measured."""
    cells: dict[str, object] = {}
    if loads.sweep is not None:
        best = next((p.rate for p in loads.sweep.points if p.batch_size == loads.sweep.chosen_batch), None)
        cells |= {"sweep_batch": loads.sweep.chosen_batch, "sweep_images_per_s": best.images_per_s if best else None}
    for name, streamed in _streams(loads).items():
        tail = streamed.tail
        cells |= {f"{name}_p{tail.percentile:g}_ms": tail.ms, f"{name}_queries": tail.queries}
    if loads.offline is not None:
        column, rate = "offline_images_per_s", loads.offline.rate
        cells |= {column: rate.images_per_s, f"{column}_low": rate.low, f"{column}_high": rate.high}
    if loads.server is not None:
        cells |= {
            "server_queries_per_s": loads.server.queries_per_s,
            "server_fails_at_queries_per_s": loads.server.fails_at,
            "server_bound_ms": loads.server.bound_ms,
            "server_percentile": loads.server.percentile,
        }
    return cells


def runtimes_table(summary: RunSummary) -> TextTable:
    """Return a row per case that does not run eagerly, against the eager case it equals otherwise."""
    rows = {row.case_id: row for row in summary.rows}
    entries = []
    for one in summary.runtimes:
        row = rows[one.case_id]
        entries.append(
            {
                "model": row.model,
                "data set": row.dataset,
                "target": row.target,
                "changed pixels %": percent(one.changed, 4),
                "worst image %": percent(one.worst_changed, 4),
                f"Δ {summary.headline}": fixed(one.score_change, 5, sign="+"),
                "latency ratio (this / eager)": with_interval(
                    one.latency_ratio, one.latency_low, one.latency_high, default=2
                ),
                "export MB": MISSING if one.exported_bytes is None else f"{one.exported_bytes / 1e6:.1f}",
                "export s": fixed(one.export_s, 1),
                "parity": _parity(one),
            }
        )
    return TextTable(entries)


def runtimes_note(summary: RunSummary) -> str:
    """Return how to read the table, and which rows are another network than the eager one; empty without rows."""
    if not summary.runtimes:
        return ""
    note = (
        f"Each case is compared with the eager case that is equal otherwise, on the same images. In fp32 at most "
        f"{100 * TOLERANCE:g} % of the pixels may get another class, and in any arithmetic at least "
        f"{100 * KEPT_SCORE:g} % of the score must remain; a case that changes more is flagged: its latency is that of "
        "another network. int8 is compared with eager fp32. Instances and segments are compared as label maps."
    )
    flagged = [one for one in summary.runtimes if one.parity is False]
    worst = [
        f"**{one.case_id}**" + (f" (most in image {one.worst_image!r})" if one.worst_image else "") for one in flagged
    ]
    return note + (f" Flagged: {', '.join(worst)}." if worst else "")


def _parity(one: RuntimeComparison) -> str:
    if one.parity is None:
        return MISSING
    failed = [f"above {100 * TOLERANCE:g} % of pixels"] if one.same_pixels is False else []
    failed += [f"below {100 * KEPT_SCORE:g} % of the score"] if one.kept_score is False else []
    return f"NO: {' and '.join(failed)}" if failed else "yes"
