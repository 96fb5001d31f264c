"""What a training's log says about its budget: how far it got, how early, and how fast."""

from __future__ import annotations

import math

from bench.records import Budget, Record
from bench.records.store import layout
from bench.records.store.training_log import MEAN_IOU, LoggedValidation, TrainingLog, read_training_log
from bench.records.store.views import CaseView

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the budget at which models are compared."""

NEARLY = 0.9
"""Share of its final validation mean IoU that a model is timed to."""


class Course(Record):
    """The course of one training, finished or not.

    Attributes:
        steps, images, train_s: So far.
        at_shares: Validation mean IoU at each of `SHARES` of the budget: that of the last
            validation by then; None where there was none yet or the training has not come so far.
        final: Validation mean IoU of the last validation.
        nearly_s: Training seconds at the first validation with 90 % of `final`.
        best_step: Step whose weights are kept and scored, where the framework or the validations
            tell it.
    """

    steps: int
    images: int
    train_s: float
    at_shares: tuple[float | None, ...]
    final: float | None
    nearly_s: float | None
    best_step: int | None

    @property
    def images_per_s(self) -> float | None:
        """Images seen per second of training; None before the clock has moved."""
        return self.images / self.train_s if self.train_s > 0 else None


def course_of_case(view: CaseView) -> Course | None:
    """Return the course of a case as far as it got; None before its first step and for a model that is not trained."""
    if view.train is None:
        return None
    log = read_training_log(view.train.folder / layout.TRAINING_LOG)
    if log is None:
        return None
    reported = view.train.outcome.facts.self_reported.get("best_step") if view.train.outcome else None
    return course_of(
        log,
        budget=view.case.recipe.budget if view.case.recipe else None,
        ended=view.train.ok,
        best_step=None if reported is None else int(reported),
    )


def course_of(log: TrainingLog, *, budget: Budget | None, ended: bool, best_step: int | None) -> Course | None:
    """Return the course of a training.

    Args:
        log: As far as it got.
        budget: Of its recipe, where the log itself has no plan.
        ended: Whether the training is over; one that stops early keeps its last value until the
            end of its budget.
        best_step: As the framework reports it; the step of the best validation if None.
    """
    last = log.last
    if last is None:
        return None
    ious = _mean_ious(log)
    final = ious[-1][1] if ious else None
    return Course(
        steps=last.step,
        images=last.images,
        train_s=last.train_s,
        at_shares=tuple(_at(share, log, budget, ended=ended) for share in SHARES),
        final=final,
        nearly_s=next((v.train_s for v, iou in ious if final is not None and iou >= NEARLY * final), None),
        best_step=best_step if best_step is not None else _best_step(ious),
    )


def _mean_ious(log: TrainingLog) -> list[tuple[LoggedValidation, float]]:
    """Validations with a mean IoU that is a number."""
    known = [(v, v.values[MEAN_IOU]) for v in log.validations if v.values.get(MEAN_IOU) is not None]
    return [(v, iou) for v, iou in known if math.isfinite(iou)]


def _best_step(ious: list[tuple[LoggedValidation, float]]) -> int | None:
    """Of equal validations the first, whose weights are the ones kept."""
    return max(ious, key=lambda one: (one[1], -one[0].step))[0].step if ious else None


def _at(share: float, log: TrainingLog, budget: Budget | None, *, ended: bool) -> float | None:
    ious = _mean_ious(log)
    if share == 1 and ended:
        return ious[-1][1] if ious else None  # the last step may go beyond the budget by a fraction of itself
    last = log.last
    if not ended and (last is None or _spent(last.step, last.train_s, log, budget) < share):
        return None
    reached = [iou for v, iou in ious if _spent(v.step, v.train_s, log, budget) <= share + 1e-9]
    return reached[-1] if reached else None


def _spent(step: int, train_s: float, log: TrainingLog, budget: Budget | None) -> float:
    """Share of the budget that is spent: of whichever limit is nearer.

    A budget in epochs alone, whose log has no planned steps, is known only by where it ended.
    """
    steps = log.planned_steps if log.planned_steps is not None else budget.steps if budget else None
    seconds = log.planned_s if log.planned_s is not None else budget.seconds if budget else None
    shares = [step / steps] if steps else []
    shares += [train_s / seconds] if seconds else []
    if not shares and log.last is not None:
        shares = [step / log.last.step]
    return max(shares, default=0.0)
