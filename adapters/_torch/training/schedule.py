"""Tells how far a training is, and the learning rate at that point.

Every curve is a function of the fraction of the budget that is spent, so that a budget in seconds
decays as completely as one in steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.records import Budget, Recipe

_WARMUP_START = 0.01
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = 1e-4 / 25
_POLY_POWER = 0.9


@dataclass(frozen=True)
class Schedule:
    """A budget over a split.

    Attributes:
        steps: Optimiser steps of the smaller of the limits in steps and epochs; None without one.
        seconds: Limit of training seconds; None without one.
    """

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, budget: Budget, *, steps_per_epoch: int) -> Schedule:
        """Return the course of a budget."""
        limits = [budget.steps, None if budget.epochs is None else budget.epochs * steps_per_epoch]
        given = [limit for limit in limits if limit is not None]
        return cls(steps=min(given) if given else None, seconds=budget.seconds)

    def fraction(self, *, step: int, train_s: float) -> float:
        """Return the share of the budget that is spent, 0-1: the largest over the given limits."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        by_seconds = 0.0 if self.seconds is None else train_s / self.seconds
        return min(1.0, max(by_steps, by_seconds))


def learning_rate(recipe: Recipe, fraction: float) -> float:
    """Return the learning rate once `fraction` of the budget is spent.

    `constant`, `cosine` and `poly` rise linearly from 1 % of the peak over `warmup_fraction`, then
    stay, follow half a cosine to 0, or fall as (1 − x)^0.9 (Chen et al., DeepLab,
    https://arxiv.org/abs/1606.00915). `one_cycle` rises from 1/25 of the peak by half a cosine over
    `warmup_fraction` and falls by half a cosine to 1/250000 (Smith and Topin,
    https://arxiv.org/abs/1708.07120; the constants of `torch.optim.lr_scheduler.OneCycleLR`, whose
    usual share of warm-up is 0.3); momentum stays.

    >>> round(learning_rate(Recipe(budget=Budget(steps=10), learning_rate=0.1, warmup_fraction=0.0), 0.5), 3)
    0.05
    """
    warmup = recipe.warmup_fraction
    rising = fraction < warmup
    done = fraction / warmup if rising else (fraction - warmup) / (1 - warmup)
    if recipe.schedule == "one_cycle":
        ends = (_ONE_CYCLE_START, 1.0) if rising else (1.0, _ONE_CYCLE_END)
        factor = _half_cosine(*ends, done)
    elif rising:
        factor = _WARMUP_START + (1 - _WARMUP_START) * done
    elif recipe.schedule == "cosine":
        factor = _half_cosine(1.0, 0.0, done)
    elif recipe.schedule == "poly":
        factor = (1 - done) ** _POLY_POWER
    else:
        factor = 1.0
    return recipe.learning_rate * factor


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
