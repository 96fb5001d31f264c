"""Training: curves, what the budget came to, recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bench.records.store import layout
from bench.records.store.training_log import VAL_LOSS, TrainingLog, read_training_log, validated_label
from bench.report import sentences, training_tables
from bench.report.facts import Facts
from bench.report.html.curves import Line, plot

TITLE = "Training"

MOST_LINES = 21
STEPS = 160
"""Points of a curve of losses that are drawn."""

WIDE = 30.0
"""Ratio of the largest to the smallest loss above which losses get a logarithmic axis."""


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was trained."""
    summary = facts.summary
    table, budget = training_tables.training_table(summary), training_tables.budget_table(summary)
    logs = _logs(facts)
    trained = sum(row.course is not None for row in summary.rows)
    if not len(table) and not len(budget) and not logs:
        return None
    unlike = [f"{row.model}: {name}: {why}" for row in summary.rows for name, why in row.not_honoured.items()]
    return {
        "untrained": sentences.untrained(summary),
        "scores": _score_curves(logs[:MOST_LINES]),
        "losses": _loss_curves(logs[:MOST_LINES]),
        "left_out": max(0, trained - min(len(logs), MOST_LINES)),
        "table": table,
        "budget": budget,
        "notes": sentences.budget_notes(summary),
        "unlike": unlike,
        "self_reported": sentences.self_reported(summary),
    }


def _logs(facts: Facts) -> list[tuple[str, TrainingLog]]:
    """Name and training log of the rows that are told in detail, which of very many are those with the best score."""
    found = []
    for case_id, name in facts.name_of.items():
        if case_id not in facts.samples:
            continue
        view = facts.view_of(case_id)
        log = read_training_log(view.train.folder / layout.TRAINING_LOG) if view and view.train else None
        if log is not None:
            found.append((name, log))
    return found


def _score_curves(logs: Sequence[tuple[str, TrainingLog]]) -> list[Markup | None]:
    """Draw validated scores against seconds of training, each kind of score by itself."""
    kinds = dict.fromkeys(log.validated_by for _, log in logs if log.validated_by is not None)
    found = []
    for kind in kinds:
        lines = [
            Line(number, name, points, points)
            for number, (name, log) in enumerate(logs)
            if log.validated_by == kind
            and (points := [(v.train_s, v.values[kind]) for v in log.validations if v.values.get(kind) is not None])
        ]
        found += [_drawn(lines, f"validated {validated_label(kind)}", log=False)] if lines else []
    return found


def _loss_curves(logs: Sequence[tuple[str, TrainingLog]]) -> Markup | None:
    """Draw losses of training as lines and of validation as markers, against seconds of training."""
    lines = []
    for number, (name, log) in enumerate(logs):
        known = [(s.train_s, s.loss) for s in log.steps if s.loss is not None and s.loss > 0]
        marks = [(v.train_s, v.values[VAL_LOSS]) for v in log.validations if (v.values.get(VAL_LOSS) or 0) > 0]
        lines.append(Line(number, name, known[:: max(1, len(known) // STEPS)], marks))
    values = [value for one in lines for _, value in (*one.points, *one.marks)]
    if not values:
        return None
    wide = max(values) > WIDE * min(values)
    return _drawn(lines, f"loss{', logarithmic' * wide}", log=wide)


def _drawn(lines: Sequence[Line], what: str, *, log: bool) -> Markup | None:
    label = f"{what} of {len(lines)} trainings against seconds of training"
    return plot(lines, "training time, s", what, label, from_zero=True, log=log)
