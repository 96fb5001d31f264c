"""One recipe for Detectron2's networks, on Detectron2's own trainer.

`SimpleTrainer` (`AMPTrainer` for fp16) owns the loop, the loss and the optimiser's step; one hook
sets the learning rate, clips gradients, counts, reports, validates, saves and ends the training.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.schedule import Course, learning_rate
from adapters._torch.weights import save_atomically, save_weights
from adapters.detectron2.framework import import_quietly
from adapters.detectron2.mapper import DecodedExamples, TrainingInputs
from adapters.detectron2.network import DetectronNetwork
from adapters.detectron2.validation import validate
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.records import Precision, Recipe, as_json_dict, digest

import_quietly("detectron2.engine")
from detectron2.engine import AMPTrainer, HookBase, SimpleTrainer  # noqa: E402 - after its warnings are silenced

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
LAST = "last.pt"

REPORT_EVERY_S = 0.2
"""Training seconds between reported steps."""

ENDLESS = 2**31
"""Iterations that Detectron2's loop is told; the budget ends it."""


def fit(network: DetectronNetwork, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
    """Train a network by a recipe; goes on from `checkpoint.pt` in `out` if there is one.

    With a budget in steps or epochs, on a CPU with a fixed number of threads, the same seed gives
    the same weights, and a training that was killed and resumed gives those of an uninterrupted one.

    Args:
        network: Trained in place; its initial weights are the caller's.
        data: Training and validation split.
        recipe: The device may be `auto`.
        out: Gets `checkpoint.pt`, and at the end `last.pt` and, for a validated semantic network,
            `best.pt`.
        progress: Told of steps, at most every 0.2 training seconds with the mean loss since the
            last report, and of validations.

    Returns:
        For a semantic network the weights with the highest `val_mean_iou`, else the last ones.

    Raises:
        Unsupported: If the device or precision cannot be had.
        BenchError: If the training split is empty, the loss stops being finite, stages without
            weights are frozen, or `out` holds the checkpoint of another training.
    """
    device = devices.open_device(recipe.device)
    devices.check_precision(device, recipe.precision)
    devices.set_threads(recipe.threads)
    devices.apply_settings(recipe.precision, cudnn_benchmark=True, deterministic=False)
    if len(data.train) == 0:
        raise BenchError("the training split has no images; choose another 'train' split of the data set")
    out.mkdir(parents=True, exist_ok=True)
    training = _Training(network, data, recipe, out, progress, device)
    training.run()
    return training.finish()


class _BudgetSpent(BaseException):
    """Ends Detectron2's loop, which otherwise only counts, and logs every `Exception` as a failure."""


@dataclass
class _State:
    """How far a training is; part of its checkpoint.

    Attributes:
        step, images: Optimiser steps and images so far.
        train_s: Wall-clock seconds in training steps so far.
        validated: Values of the newest validation.
        best: Step, values and weights of the best validation.
    """

    step: int = 0
    images: int = 0
    train_s: float = 0.0
    validated: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None


class _Training(HookBase):
    """A hook of Detectron2's trainer, and the state of a training beside the trainer's own."""

    def __init__(
        self,
        network: DetectronNetwork,
        data: TrainingData,
        recipe: Recipe,
        out: Path,
        progress: Progress,
        device: torch.device,
    ) -> None:
        self._network, self._recipe, self._out, self._device = network, recipe, out, device
        self._progress = progress
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.module.to(device).to(memory_format=layout)
        self._weights = [weight for weight in network.module.parameters() if weight.requires_grad]
        self._examples = DecodedExamples(network, data.train, recipe.image_size)
        self._val_examples = DecodedExamples(network, data.val, recipe.image_size)
        self._inputs = TrainingInputs(self._examples, batch_size=recipe.batch_size, seed=recipe.seed, flip=recipe.flip)
        self._course = Course.of(recipe.budget, steps_per_epoch=self._inputs.steps_per_epoch)
        self._state = _State()
        self._losses: list[float] = []
        self._reported_s = -math.inf
        self._counting_since = self._saved_at = 0.0

    # ------------------------------------------------------------------ the whole training

    def run(self) -> None:
        """Train until the budget is spent."""
        torch.manual_seed(self._recipe.seed)
        trainer = make_trainer(self._network.module, self._inputs, self._weights, self._recipe, self._device)
        if (self._out / CHECKPOINT).is_file():
            self._read_checkpoint(trainer)
        self._progress.planned(steps=self._course.steps, seconds=self._course.seconds)
        if self._spent() >= 1:
            return
        trainer.register_hooks([self])
        with warnings.catch_warnings():
            # Detectron2 asks for autocast by its old name.
            warnings.filterwarnings("ignore", message=".*torch.cuda.amp", category=FutureWarning)
            try:
                trainer.train(self._state.step, ENDLESS)
            except _BudgetSpent:
                return
            except FloatingPointError:
                raise BenchError(
                    f"training diverged: the loss is not finite by step {self._state.step + 1}. "
                    "Lower 'learning_rate' or raise 'warmup_fraction' in the recipe."
                ) from None

    def finish(self) -> TrainingResult:
        """Write the weight files and say what the training came to."""
        state, best = self._state, self._state.best
        save_weights(self._network, self._network.module.state_dict(), self._out / LAST)
        reported = {f"last_{name}": value for name, value in state.validated.items()}
        if best is not None:
            save_weights(self._network, best["weights"], self._out / BEST)
            reported |= {**best["values"], "best_step": float(best["step"])}
        return TrainingResult(
            weights=self._out / (LAST if best is None else BEST),
            steps=state.step,
            images=state.images,
            train_s=state.train_s,
            not_honoured=_not_honoured(self._network, self._recipe),
            self_reported=reported,
        )

    def _spent(self) -> float:
        return self._course.fraction(step=self._state.step, train_s=self._state.train_s)

    # ------------------------------------------------------------------ a step, called by Detectron2

    def before_train(self) -> None:
        """Start the clock."""
        self._counting_since = self._saved_at = time.perf_counter()

    def before_step(self) -> None:
        """Set the learning rate by the share of the budget that is spent."""
        self._rate = learning_rate(self._recipe, self._spent())
        for group in self.trainer.optimizer.param_groups:
            group["lr"] = self._rate

    def after_backward(self) -> None:
        """Clip the norm of all gradients together."""
        limit = self._network.options.gradient_clip
        if limit is not None:
            scaler = getattr(self.trainer, "grad_scaler", None)
            if scaler is not None:
                scaler.unscale_(self.trainer.optimizer)
            torch.nn.utils.clip_grad_norm_(self._weights, limit)

    def after_step(self) -> None:
        """Count the step; report, validate, save and stop where it is time to."""
        self._count_seconds()
        state = self._state
        state.step += 1
        state.images += self._inputs.batch_size
        self._losses.append(self.trainer.storage.latest()["total_loss"][0])
        ends = self._spent() >= 1
        self._report(now=ends)
        if len(self._val_examples) and (ends or self._validation_is_due()):
            with self._clock_stopped():
                self._validate()
        if ends or time.perf_counter() - self._saved_at >= self._recipe.checkpoint_every_s:
            with self._clock_stopped():
                self._save_checkpoint()
        if ends:
            raise _BudgetSpent

    def _report(self, *, now: bool) -> None:
        state = self._state
        if now or state.train_s - self._reported_s >= REPORT_EVERY_S:
            loss = sum(self._losses) / len(self._losses)
            self._losses.clear()
            self._reported_s = state.train_s
            self._progress.step(
                step=state.step, images=state.images, train_s=state.train_s, loss=loss, learning_rate=self._rate
            )

    def _validation_is_due(self) -> bool:
        epochs, within = divmod(self._state.step, self._inputs.steps_per_epoch)
        every = self._recipe.validate_every
        return every is not None and within == 0 and epochs % every == 0

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self._state.train_s += now - self._counting_since
        self._counting_since = now

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        """Leave out of the training seconds what is not a step; queued steps are finished before."""
        devices.synchronize(self._device)
        self._count_seconds()
        yield
        self._counting_since = time.perf_counter()

    def _validate(self) -> None:
        recipe, state = self._recipe, self._state
        with devices.autocast(self._device, recipe.precision):
            values = validate(
                self._network,
                self._val_examples,
                batch_size=recipe.batch_size,
                device=self._device,
                channels_last=recipe.channels_last,
            )
        state.validated = values
        self._progress.validated(step=state.step, images=state.images, train_s=state.train_s, values=values)
        score = values.get("val_mean_iou")
        if score is not None and (state.best is None or score > state.best["values"]["val_mean_iou"]):
            weights = {name: t.detach().cpu().clone() for name, t in self._network.module.state_dict().items()}
            state.best = {"step": state.step, "values": values, "weights": weights}

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        random = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self._device)
        content = {
            "identity": self._identity(),
            "state": {name: getattr(self._state, name) for name in asdict(_State())},
            "random": random,
            "weights": self._network.module.state_dict(),
            "trainer": self.trainer.state_dict(),
        }
        save_atomically(content, self._out / CHECKPOINT)
        self._saved_at = time.perf_counter()

    def _read_checkpoint(self, trainer: SimpleTrainer) -> None:
        path = self._out / CHECKPOINT
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != self._identity():
            raise BenchError(f"{path} is the checkpoint of another training; remove it to train anew")
        self._state = _State(**content["state"])
        self._inputs.first_step = self._state.step
        self._network.module.load_state_dict(content["weights"])
        trainer.load_state_dict(content["trainer"])
        torch.set_rng_state(content["random"]["cpu"])
        if "cuda" in content["random"]:
            torch.cuda.set_rng_state(content["random"]["cuda"], self._device)

    def _identity(self) -> str:
        """What a training must share with a checkpoint to go on from it."""
        network = self._network
        facts: list[Any] = [network.architecture, list(network.class_names), as_json_dict(self._recipe)]
        return digest([*facts, len(self._examples), len(self._val_examples)])


def make_trainer(
    module: nn.Module, inputs: TrainingInputs, weights: list[Tensor], recipe: Recipe, device: torch.device
) -> SimpleTrainer:
    """Return Detectron2's trainer for a recipe; its gradient scaler is used for fp16."""
    optimizer = make_optimizer(weights, recipe)
    if recipe.precision == "fp16":
        return AMPTrainer(module, inputs, optimizer, grad_scaler=torch.amp.GradScaler(device.type))
    return SimpleTrainer(Autocast(module, device, recipe.precision), inputs, optimizer)


def make_optimizer(weights: list[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser, in its fused form: one kernel for many weights."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            weights, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    optimizer = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return optimizer(weights, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


class Autocast(nn.Module):
    """A network whose forward pass, losses included, is in a precision; CPUs have bf16 here too."""

    def __init__(self, module: nn.Module, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self.module, self._device, self._precision = module, device, precision

    def forward(self, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        with devices.autocast(self._device, self._precision):
            losses: dict[str, Tensor] = self.module(batch)
        return losses


def _not_honoured(network: DetectronNetwork, recipe: Recipe) -> dict[str, str]:
    name = network.cfg.MODEL.META_ARCHITECTURE
    if network.kind != "semantic":
        return {"loss": f"{name} has losses of its own, which Detectron2 adds up"}
    if recipe.loss != "cross_entropy":
        return {"loss": f"{network.cfg.MODEL.SEM_SEG_HEAD.NAME} computes cross_entropy itself"}
    return {}
