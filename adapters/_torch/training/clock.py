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
from adapters._torch.training.schedule import Schedule, learning_rate
from bench.adapter import Progress
from bench.errors import BenchError
from bench.records import Recipe

REPORT_EVERY_S = 0.2
"""Training seconds between reported steps: reading a loss waits for the device."""


@dataclass
class TrainingClock:
    """Counts a training; the harness's recipe decides when it ends.

    Attributes:
        recipe: Recipe with budget, schedule and peak learning rate.
        progress: Receives the steps, at most every `REPORT_EVERY_S` with the mean loss since the last report.
        steps_per_epoch: Steps per epoch of the training split.
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
