"""The results as CSV: one row per case, raw numbers, units in the headings; empty = not available."""

from __future__ import annotations

import csv
import io
from math import isnan

from bench.records import Cost
from bench.report.resources import resources_fields
from bench.report.summary.latency import Timing
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.report.throughput import csv_cells

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First signs of what a spreadsheet evaluates."""


def render(summary: RunSummary) -> str:
    """Return the table as CSV text."""
    rows = [{name: _plain(inert(cell)) for name, cell in row_fields(row, summary.cost).items()} for row in summary.rows]
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, [*names], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _plain(cell: object) -> object:
    """Return a number of NumPy as Python's, and none in the place of nan."""
    return cell if not isinstance(cell, float) else None if isnan(cell) else float(cell)


def inert(cell: object) -> object:
    """Return text that a spreadsheet would take for a formula, behind an apostrophe, which makes it text."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA) else cell


def row_fields(row: Row, cost: Cost | None) -> dict[str, object]:
    """Return a row of the report as raw numbers by name, units in the names; None = not available."""
    first = ("model", "dataset", "target", "status", "parameters", "weights_bytes")
    flat: dict[str, object] = {"case": row.case_id, **{name: getattr(row, name) for name in first}}
    for cell in row.scores:
        name = cell.score.metric
        flat |= {name: cell.score.value, f"{name}_low": cell.score.low, f"{name}_high": cell.score.high}
        flat |= {f"{name}.{part}": value for part, value in cell.score.parts.items()}
        flat |= {f"{name}.{what}": number for what, number in cell.score.counts.items()}
        if (oracle := cell.score.oracle) is not None:
            flat |= {f"{name}.tau_of_best_tau_oracle": oracle.tau, f"{name}.best_tau_oracle": oracle.value}
    if row.latency is not None:
        for timing in row.latency.end_to_end:
            flat |= timing_fields(f"end_to_end_p{timing.percentile:g}", timing)
        for stage, timing in row.latency.stages.items():
            flat |= timing_fields(f"{stage}_p50", timing)
        for stage, timing in row.latency.stage_tails.items():
            flat |= timing_fields(f"{stage}_p{timing.percentile:g}", timing)
        rate, device = row.latency.images_per_s, row.latency.device_infer
        flat |= {
            "sync_overhead": row.latency.sync_overhead,
            "device_infer_p50_ms": device.ms_per_image if device else None,
            "throughput_images_per_s": rate.median if rate else None,
            "first_call_ms": row.latency.first_call_ms.median if row.latency.first_call_ms else None,
            "samples": row.latency.outliers.samples,
            "replicates": row.latency.replicates,
            "quick": row.latency.quick,
            "input": row.latency.input,
        }
    if row.loads is not None:
        flat |= csv_cells(row.loads)
    return flat | {
        "host_rss_peak_bytes": row.host_rss_peak_bytes,
        "peak_device_bytes": row.peak_device_bytes,
        **resources_fields(row, cost),
        **{f"trained_{name}": getattr(row, f"trained_{name}") for name in ("s", "steps", "images", "data_wait_s")},
        "pareto_optimal": row.pareto_optimal,
        "pareto_probability": row.pareto_probability,
        "verdict": row.verdict.state if row.verdict else None,
        "verdict_reasons": "; ".join(str(reason) for reason in row.verdict.reasons) if row.verdict else None,
    }


def timing_fields(name: str, timing: Timing) -> dict[str, object]:
    """Return a timing as raw numbers by name: milliseconds per image with the interval."""
    return {f"{name}_ms{end}": getattr(timing, f"ms_per_image{end}") for end in ("", "_low", "_high")}
