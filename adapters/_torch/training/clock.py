"""Tells how far a training is: steps, images, seconds, learning rate, reports.

Every loop, Lightning's and the frameworks' own, calls this clock from its hooks, so that a budget,
a schedule and a curve mean the same for all of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from adapters._torch import device as devices
from bench.adapter import Progress
from bench.errors import BenchError
from bench.records import Budget, Recipe

REPORT_EVERY_S = 0.2
"""Training seconds between reported steps: reading a loss waits for the device."""

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
    """Return the learning rate once `fraction` of the budget is spent, so that one in seconds decays as one in steps.

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


@dataclass
class TrainingClock:
    """Counts a training; the harness's recipe decides when it ends.

    Attributes:
        recipe: Recipe with budget, schedule and peak learning rate.
        progress: Receives the steps, at most every `REPORT_EVERY_S` with the mean loss since the last report.
        device: Waited for before the clock is stopped.
        images_of: Positions of the images of a step, counted from 0, for messages.
        step, images, train_s: Step, images and seconds so far; set them to go on from a checkpoint.
        stopped_s: Seconds in this process for which the clock was stopped, for validations and checkpoints.
    """

    recipe: Recipe
    progress: Progress
    steps_per_epoch: int
    device: torch.device
    images_of: Callable[[int], tuple[int, ...]] | None = None
    step: int = 0
    images: int = 0
    train_s: float = 0.0
    stopped_s: float = 0.0
    _since: float = 0.0
    _saved_at: float = 0.0
    _reported_s: float = -math.inf
    _rate: float = 0.0
    _stopped: bool = False
    _losses: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.course = Schedule.of(self.recipe.budget, steps_per_epoch=self.steps_per_epoch)

    def start(self) -> None:
        """Tell the plan and start counting."""
        self.progress.planned(steps=self.course.steps, seconds=self.course.seconds)
        self._since = self._saved_at = time.perf_counter()

    @property
    def spent(self) -> bool:
        """Return whether the budget is spent, or the training was stopped before."""
        return self._stopped or self.fraction >= 1

    @property
    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        return learning_rate(self.recipe, self.fraction)

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0-1."""
        return self.course.fraction(step=self.step, train_s=self.train_s)

    def stop(self) -> None:
        """End the training before its budget is spent."""
        self._stopped = True
        if self._losses:
            self._report()

    def step_done(self, loss: torch.Tensor, images: int, rate: float) -> None:
        """Count a step of so many images; report it if it is time to or the budget is spent.

        Raises:
            BenchError: If a loss since the last report is not finite; says of which step.
        """
        self._count()
        self.step += 1
        self.images += images
        self._rate = rate
        self._losses.append(loss.detach())
        if self.spent or self.train_s - self._reported_s >= REPORT_EVERY_S:
            self._report()

    def _report(self) -> None:
        mean = self._sound_losses().mean().item()
        self._losses.clear()
        self._reported_s = self.train_s
        self.progress.step(
            step=self.step, images=self.images, train_s=self.train_s, loss=mean, learning_rate=self._rate
        )

    def _sound_losses(self) -> torch.Tensor:
        """Return the losses since the last report, all finite; waits for the device."""
        losses = torch.stack(self._losses).float().cpu()
        wrong = torch.nonzero(~torch.isfinite(losses)).flatten()
        if len(wrong):
            first = int(wrong[0])
            raise self.diverged(self.step - len(losses) + first, f"the loss is {losses[first].item()}")
        return losses

    def diverged(self, step: int, what: str) -> BenchError:
        """Return the error that ends a training whose numbers ran away in a step, counted from 0."""
        images = "" if self.images_of is None else ", ".join(map(str, self.images_of(step)))
        where = images and f", on the images {images} of the training split, counted from 0"
        return BenchError(
            f"training diverged: {what} in step {step + 1}{where}. Lower 'learning_rate', raise 'warmup_fraction' or "
            "set 'clip_gradient_norm' in the recipe. The newest sound checkpoint is kept."
        )

    def validated(self, values: dict[str, float]) -> None:
        """Report a validation."""
        self.progress.validated(step=self.step, images=self.images, train_s=self.train_s, values=values)

    @property
    def validation_is_due(self) -> bool:
        """Say whether to validate: at the end, and after whole epochs as the recipe says."""
        epochs, within = divmod(self.step, self.steps_per_epoch)
        every = self.recipe.validate_every
        return self.spent or (every is not None and within == 0 and epochs % every == 0)

    @property
    def checkpoint_is_due(self) -> bool:
        """Say whether to save: at the end, and whenever the recipe's seconds have passed since the last `saved`."""
        return self.spent or time.perf_counter() - self._saved_at >= self.recipe.checkpoint_every_s

    def saved(self) -> None:
        """Take note that a checkpoint was written."""
        self._saved_at = time.perf_counter()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out of the training seconds what is not a step; queued steps are finished before.

        Raises:
            BenchError: If a loss since the last report is not finite: nothing is saved then.
        """
        devices.synchronize(self.device)
        self._count()
        if self._losses:
            self._sound_losses()
        yield
        now = time.perf_counter()
        self.stopped_s += now - self._since
        self._since = now

    def _count(self) -> None:
        now = time.perf_counter()
        self.train_s += now - self._since
        self._since = now
