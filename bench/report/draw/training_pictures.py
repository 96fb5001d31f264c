"""Chooses the pictures of training that a run gives, filled from its training logs; half-finished runs included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.records.store import layout
from bench.records.store.training_log import (
    VAL_LOSS,
    LoggedStep,
    LoggedValidation,
    TrainingLog,
    read_training_log,
    validated_label,
)
from bench.records.store.views import CaseView, RunView
from bench.report.draw.figure import draw
from bench.report.draw.training_curves import (
    BudgetPoint,
    Curve,
    Series,
    accuracy_budget,
    training_curve,
    training_curves,
)
from bench.report.summary.summarise import RunSummary
from bench.report.summary.training_progress import progress_of_case

OVERLAID = "training_curves.png"
SINGLE = "training_curve"
BUDGET = "accuracy_budget.png"


def draw_training(run: RunView, summary: RunSummary, folder: Path, *, alone: bool = True) -> list[Path]:
    """Draw the curves of all models overlaid, those of each model if `alone`, and accuracy under one budget."""
    curves = training_curves_of(run.cases)
    if not curves:
        return []
    drawn = [draw(folder / OVERLAID, training_curves, curves)]
    taken: set[str] = set()
    for curve in curves if alone else ():
        name = _file_name(curve.label, taken)
        taken.add(name)
        drawn.append(draw(folder / name, training_curve, curve))
    points = budget_points(run, summary)
    if points:
        drawn.append(draw(folder / BUDGET, accuracy_budget, points, score_label=summary.headline_in_unit))
    return drawn


def _file_name(label: str, taken: set[str]) -> str:
    """Name of a model's own picture; labels that differ only in signs a file name has not get numbers."""
    stem = f"{SINGLE}@{layout.plain_name(label)}"
    names = (f"{stem}{suffix}.png" for suffix in ("", *(f"-{n}" for n in range(2, len(taken) + 3))))
    return next(name for name in names if name not in taken)


def training_curves_of(views: Sequence[CaseView]) -> list[Curve]:
    """Return one curve per training that has taken a step; cases on several targets share theirs."""
    several = len({view.case.dataset.label for view in views}) > 1
    curves: dict[str, Curve] = {}
    for view in views:
        if view.train is None or view.train.job.key in curves:
            continue
        log, course = read_training_log(view.train.folder / layout.TRAINING_LOG), progress_of_case(view)
        if log is not None and course is not None:
            label = view.case.model.label + (f" · {view.case.dataset.label}" if several else "")
            curves[view.train.job.key] = curve_of(log, label, best_step=course.best_step)
    return list(curves.values())


def curve_of(log: TrainingLog, label: str, *, best_step: int | None) -> Curve:
    """Return the curves of a log."""
    kept = next((v for v in log.validations if v.step == best_step), None)
    validated_by = log.validated_by
    return Curve(
        label=label,
        loss=_series(log.steps, [step.loss for step in log.steps]),
        val_loss=_validated(log, VAL_LOSS),
        val_score=_validated(log, validated_by),
        train_score=_validated(log, None if validated_by is None else validated_by.replace("val_", "train_", 1)),
        score_name=None if validated_by is None else validated_label(validated_by),
        kept=(kept.train_s, kept.images) if kept else None,
    )


def _validated(log: TrainingLog, name: str | None) -> Series:
    if name is None:
        return Series()
    reported = [v for v in log.validations if name in v.values]
    return _series(reported, [v.values[name] for v in reported])


def _series(logged: Sequence[LoggedStep | LoggedValidation], values: Sequence[float | None]) -> Series:
    return Series(tuple(one.train_s for one in logged), tuple(one.images for one in logged), tuple(values))


def budget_points(run: RunView, summary: RunSummary) -> list[BudgetPoint]:
    """Return a point for every trained and scored row, with its validations if they are of the same metric."""
    headline = f"val_{run.plan.metrics[0]}"
    views = {view.case.id: view for view in run.cases}
    points = []
    for row in (row for row in summary.rows if row.case_id in views):
        train, score = views[row.case_id].train, row.headline
        if train is None or row.trained_s is None or row.trained_images is None or not score or score.value is None:
            continue
        log = read_training_log(train.folder / layout.TRAINING_LOG)
        points.append(
            BudgetPoint(
                label=summary.label_of(row),
                seconds=row.trained_s,
                images=row.trained_images,
                score=score.value,
                score_low=score.low,
                score_high=score.high,
                val=_validated(log, headline) if log is not None else Series(),
            )
        )
    return points
