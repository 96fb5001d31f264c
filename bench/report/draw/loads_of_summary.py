"""The picture of models under load, made from a summary: batch sweeps, and latency against offered load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.draw.figure import draw
from bench.report.draw.load_curves import LoadCurve, load_curves
from bench.report.draw.training_pictures import row_label

if TYPE_CHECKING:
    from bench.report.summary.summarise import RunSummary

PICTURE = "throughput.png"


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
                label=row_label(summary, row),
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
