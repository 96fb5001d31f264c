"""Tells what a training made of its budget, by its log: how far it got, how early, how fast, and what disturbed it."""

from __future__ import annotations

import math

from bench.measure.counters import MAX_FOREIGN_SHARE, MAX_STEAL_SHARE
from bench.records import Budget, Flag, JobFacts, Recipe, Record
from bench.records.store import layout
from bench.records.store.training_log import LoggedValidation, TrainingLog, read_training_log, validated_label
from bench.records.store.views import CaseView

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the budget at which models are compared."""

NEARLY = 0.9
"""Share of its final validated score that a model is timed to."""


class TrainingProgress(Record):
    """The course of one training, finished or not.

    Attributes:
        steps, images, train_s: Steps, images and seconds so far.
        validated: The validated score that the next two are about, `mIoU` for example; None if there is none.
        at_shares: Validated score at each of `SHARES` of the budget: that of the last validation by then; None where
            there was none yet or the training has not come so far.
        final: Validated score at the last validation.
        nearly_s: Training seconds at the first validation with 90 % of `final`.
        best_step: Step whose weights are kept and scored, where the framework or the validations
            tell it.
    """

    steps: int
    images: int
    train_s: float
    validated: str | None = None
    at_shares: tuple[float | None, ...]
    final: float | None
    nearly_s: float | None
    best_step: int | None

    @property
    def images_per_s(self) -> float | None:
        """Images seen per second of training; None before the clock has moved."""
        return self.images / self.train_s if self.train_s > 0 else None


def progress_of_case(view: CaseView) -> TrainingProgress | None:
    """Return the course of a case as far as it got; None before its first step and for a model that is not trained."""
    if view.train is None:
        return None
    log = read_training_log(view.train.folder / layout.TRAINING_LOG)
    if log is None:
        return None
    reported = view.train.outcome.facts.self_reported.get("best_step") if view.train.outcome else None
    return progress_of(
        log,
        budget=view.case.recipe.budget if view.case.recipe else None,
        ended=view.train.ok,
        best_step=None if reported is None else int(reported),
    )


def progress_of(
    log: TrainingLog, *, budget: Budget | None, ended: bool, best_step: int | None
) -> TrainingProgress | None:
    """Return the course of a training.

    Args:
        log: The training log as far as it got.
        budget: Budget of its recipe, where the log itself has no plan.
        ended: True if the training is over; one that stops early keeps its last value until the
            end of its budget.
        best_step: Best step as the framework reports it; the step of the best validation if None.
    """
    last = log.last
    if last is None:
        return None
    validated_by, scores = log.validated_by, _scores(log)
    final = scores[-1][1] if scores else None
    if best_step is None and scores:  # of equal ones the first, whose weights are the ones stored
        best_step = max(scores, key=lambda one: (one[1], -one[0].step))[0].step
    return TrainingProgress(
        steps=last.step,
        images=last.images,
        train_s=last.train_s,
        validated=None if validated_by is None else validated_label(validated_by),
        at_shares=tuple(_at(share, log, budget, ended=ended) for share in SHARES),
        final=final,
        nearly_s=next((v.train_s for v, score in scores if final is not None and score >= NEARLY * final), None),
        best_step=best_step,
    )


def _scores(log: TrainingLog) -> list[tuple[LoggedValidation, float]]:
    """Validations with a score that is a number; all are of one kind."""
    values = [(v, v.values.get(log.validated_by or "")) for v in log.validations]
    return [(v, score) for v, score in values if score is not None and math.isfinite(score)]


def _at(share: float, log: TrainingLog, budget: Budget | None, *, ended: bool) -> float | None:
    scores = _scores(log)
    if share == 1 and ended:
        return scores[-1][1] if scores else None  # the last step may go beyond the budget by a fraction of itself
    last = log.last
    if not ended and (last is None or _spent(last.step, last.train_s, log, budget) < share):
        return None
    reached = [score for v, score in scores if _spent(v.step, v.train_s, log, budget) <= share + 1e-9]
    return reached[-1] if reached else None


def _spent(step: int, train_s: float, log: TrainingLog, budget: Budget | None) -> float:
    """Return the share of the budget that is spent: of whichever limit is nearer.

    A budget in epochs alone, whose log has no planned steps, is known only by where it ended.
    """
    steps = log.planned_steps if log.planned_steps is not None else budget.steps if budget else None
    seconds = log.planned_s if log.planned_s is not None else budget.seconds if budget else None
    shares = [step / steps] if steps else []
    shares += [train_s / seconds] if seconds else []
    if not shares and log.last is not None:
        shares = [step / log.last.step]
    return max(shares, default=0.0)


MAX_WAITED_SHARE = 0.05
"""Largest share of its time that a training may be ready to run and not run."""
FEWEST_STEPS = 20
"""Optimiser steps below which a budget of seconds has hardly trained anything."""


def training_doubts(view: CaseView) -> list[Flag]:
    """Return what speaks against the score of a case that was trained for a number of seconds; none for others.

    A budget in steps is the same on every machine. One in seconds is not: beside other processes, or waiting for a
    processor, a model makes fewer steps. Such a score is flagged, and takes part in no comparison that ends with
    "significantly better".
    """
    train = view.train
    if view.case.recipe is None or train is None or not train.ok or train.outcome is None:
        return []
    return _doubts(view.case.recipe, train.outcome.facts)


def _doubts(recipe: Recipe, facts: JobFacts) -> list[Flag]:
    if recipe.budget.seconds is None:
        return []
    found, seen = [], facts.interference
    shares = () if seen is None else (
        ("other processes used", seen.foreign_share, MAX_FOREIGN_SHARE),
        ("the hypervisor took", seen.steal_share, MAX_STEAL_SHARE),
        ("it was ready and waited for a processor", seen.waited_share, MAX_WAITED_SHARE),
    )  # fmt: skip
    told = [f"{what} {100 * share:.0f} %" for what, share, most in shares if share is not None and share > most]
    if told:
        rate = ""
        if facts.trained_s and facts.trained_steps is not None:
            rate = f"; it came to {facts.trained_steps} steps, {facts.trained_steps / facts.trained_s:.3g} a second"
        found.append(
            Flag(
                name="training_disturbed",
                seen=f"trained for {recipe.budget.seconds:g} s, of which {', '.join(told)}{rate}",
                advice="train again on an idle machine, or give the budget in steps",
            )
        )
    if facts.trained_steps is not None and facts.trained_steps < FEWEST_STEPS:
        found.append(
            Flag(
                name="training_starved",
                seen=f"{recipe.budget.seconds:g} s came to {facts.trained_steps} optimiser steps",
                advice="raise recipe.budget.seconds, or give the budget in steps",
            )
        )
    return found
