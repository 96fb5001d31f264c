"""Shows where accuracy is lost: scores, classes, confusions, and how segments are found and outlined."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.metrics.error_budget import KINDS, MISSED
from bench.metrics.error_budget import METRIC as BUDGET
from bench.report import differences, sentences, tables, training_tables
from bench.report.draw.numbers import MISSING
from bench.report.facts import Facts
from bench.report.summary.per_image import ConfusionTable
from bench.report.text_table import TextTable
from bench.report.training_tables import folds_note, folds_table

BUDGET_KINDS = (*KINDS, MISSED)


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing is scored."""
    summary = facts.summary
    scores = tables.scores_table(summary)
    if not len(scores):
        return None
    dataset_of = {row.case_id: row.dataset for row in summary.rows}
    ids_of = {case.case_id: case.image_ids for case in facts.images}
    return {
        "significance": differences.significance(summary),
        "scores": scores,
        "reductions": sentences.reductions(summary),
        "parts": tables.parts_tables(summary, without=(BUDGET.name,)),
        "budget": budget(facts),
        "budget_missing": budget_missing(facts),
        "heat": heat_map(facts),
        "comparisons": tables.comparisons_table(summary),
        "seeds": training_tables.seeds_table(summary),
        "seeds_note": sentences.seeds_note(summary),
        "folds": folds_table(summary),
        "folds_note": folds_note(summary),
        "confusions": [
            {
                "name": facts.name_of[one.case_id],
                "table": one,
                "image_ids": ids_of[one.case_id],
                "dataset": dataset_of[one.case_id],
            }
            for one in facts.confusions
        ],
        "first_matrix": normalised(facts.confusions[0]) if facts.confusions else None,
        "segments": segments_table(facts),
    }


def budget(facts: Facts) -> dict[str, Any] | None:
    """Return what AP would gain with each kind of error fixed: a line per row, a column per kind; None without one."""
    lines: list[dict[str, Any]] = []
    for row in facts.summary.rows:
        found = next((cell.score for cell in row.scores if cell.score.metric == BUDGET.name), None)
        if found is None or found.value is None:
            continue
        gains = [found.parts.get(kind) for kind in BUDGET_KINDS]
        counts = [found.counts.get(f"{kind} errors") for kind in BUDGET_KINDS]
        cells = [
            {"value": gain, "share": min(1.0, max(0.0, gain or 0.0)), "count": number}
            for gain, number in zip(gains, counts, strict=True)
        ]
        lines.append({"name": facts.name_of[row.case_id], "value": found.value, "cells": cells})
    largest = max((cell["share"] for line in lines for cell in line["cells"]), default=0.0)
    return {"kinds": BUDGET_KINDS, "lines": lines, "largest": largest or 1.0} if lines else None


def budget_missing(facts: Facts) -> bool:
    """Return whether masks of objects are scored, and what costs them is not told."""
    scored = {cell.score.metric for row in facts.summary.rows for cell in row.scores}
    return "mask_ap" in scored and BUDGET.name not in scored


def heat_map(facts: Facts) -> dict[str, Any] | None:
    """Return the headline per class: a line per class, a column per row of the overview."""
    summary = facts.summary
    rows = tables.with_classes(summary)
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in (row.headline.per_class if row.headline else {})))

    def lost(value: float) -> float:
        return min(1.0, max(0.0, 1 - value if summary.higher_is_better else value))

    lines = []
    for name in names:
        values = [row.headline.per_class.get(name) if row.headline else None for row in rows]
        known = [value for value in values if value is not None]
        cells = [{"value": value, "lost": 0.0 if value is None else lost(value)} for value in values]
        lines.append({"name": name, "values": cells, "mean": sum(known) / len(known) if known else None})
    names = [facts.name_of[row.case_id] for row in rows]
    return {"heading": tables.per_class_heading(summary), "columns": names, "lines": lines}


def normalised(table: ConfusionTable) -> list[list[float]]:
    """Return the share of each true class that is predicted as each class: rows sum to 1."""
    counts = np.array(table.counts, dtype=np.float64)
    return [[float(v) for v in row] for row in counts / np.maximum(1, counts.sum(axis=1, keepdims=True))]


def segments_table(facts: Facts) -> TextTable:
    """Panoptic quality by class and model with its factors and counts: found, invented, missed, split and merged."""
    from bench.metrics import split_merge
    from bench.metrics.panoptic_quality import METRIC

    entries, split = [], {2: "split", 3: "merged"}  # places in the sums of `split_merge`
    for case in facts.images:
        found = case.statistics.arrays.get(METRIC.statistic)
        if found is None or found.ndim != 3:
            continue
        apart = case.statistics.arrays.get(split_merge.METRIC.statistic)
        apart = None if apart is None else apart.sum(axis=0)
        classes = enumerate(zip(case.view.task.classes, found.sum(axis=0), strict=False))
        for number, (spec, (iou_sum, matched, extra, missed)) in classes:
            total = matched + (extra + missed) / 2
            entries.append(
                {
                    "model": facts.name_of[case.case_id],
                    "class": spec.name,
                    "PQ": f"{iou_sum / total:.3f}" if total else MISSING,
                    "SQ": f"{iou_sum / matched:.3f}" if matched else MISSING,
                    "RQ": f"{matched / total:.3f}" if total else MISSING,
                    "matched": f"{matched:.0f}",
                    "false positives": f"{extra:.0f}",
                    "missed": f"{missed:.0f}",
                    **({} if apart is None else {name: f"{apart[number][n]:.0f}" for n, name in split.items()}),
                }
            )
    return TextTable(entries)
