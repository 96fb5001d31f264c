"""One recipe for every torch-native semantic network, on Lightning.

Lightning owns the loop, the precision and its gradient scaler, the optimiser step, the device and
the checkpoint. This module says what a step is, when the budget is spent, and what is reported. A
training is one endless Lightning epoch over `TrainingBatches`, whose batch depends on the step
alone, so that a resumed training sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from adapters._torch import device as devices
from adapters._torch.data import DecodedSplit, TrainingBatches
from adapters._torch.images import Normalisation, resize_logits
from adapters._torch.losses import read_loss
from adapters._torch.network import SemanticNetwork
from adapters._torch.schedule import Course, learning_rate
from adapters._torch.validation import validate
from adapters._torch.weights import save_weights
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.records import Recipe, Size, as_json_dict, digest

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
LAST = "last.pt"

REPORT_EVERY_S = 0.2
"""Training seconds between reported steps: reading a loss waits for the device."""

_LIGHTNING_PRECISION: dict[str, Any] = {"fp32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def fit(network: SemanticNetwork, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
    """Train a network by a recipe; goes on from `checkpoint.pt` in `out` if there is one.

    With a budget in steps or epochs, on a CPU with a fixed number of threads, the same seed gives
    the same weights, and a training that was killed and resumed gives those of an uninterrupted one.

    Args:
        network: Trained in place; its initial weights are the caller's.
        data: Training and validation split.
        recipe: The device may be `auto`.
        out: Gets `checkpoint.pt`, and at the end `last.pt` and, with a validation, `best.pt`.
        progress: Told of steps, at most every 0.2 training seconds with the mean loss since the
            last report, and of validations.

    Returns:
        The weights with the highest `val_mean_iou`, the last ones where nothing was validated;
        `self_reported` has the scores of both and `best_step`.

    Raises:
        Unsupported: If the device or precision cannot be had.
        BenchError: If the training split is empty, the loss is unknown or stops being finite, or
            `out` holds the checkpoint of another training.
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


class _Training(lightning.LightningModule):
    """What a step is, and the state of a training beside Lightning's own."""

    def __init__(
        self,
        network: SemanticNetwork,
        data: TrainingData,
        recipe: Recipe,
        out: Path,
        progress: Progress,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.module = network.module
        self._network, self._recipe, self._out, self._where = network, recipe, out, device
        self._loss = read_loss(recipe.loss)
        self._normalise = Normalisation(network.mean, network.std, device)
        self._train_split = DecodedSplit(data.train, recipe.image_size)
        self._val_split = DecodedSplit(data.val, recipe.image_size)
        self._batches = TrainingBatches(
            self._train_split,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            flip=recipe.flip,
            fill=network.mean,
            pin=device.type == "cuda",
        )
        self._course = Course.of(recipe.budget, steps_per_epoch=self._batches.steps_per_epoch)
        self._state = _State()
        self._random_state: dict[str, Tensor] = {}
        self._reporter = _Reporter(progress)
        self._counting_since = self._saved_at = 0.0

    # ------------------------------------------------------------------ the whole training

    def run(self) -> None:
        """Train until the budget is spent."""
        torch.manual_seed(self._recipe.seed)
        self.module.to(memory_format=torch.channels_last if self._recipe.channels_last else torch.contiguous_format)
        checkpoint = self._out / CHECKPOINT
        resumes = checkpoint.is_file()
        if resumes:
            self._read_checkpoint(checkpoint)
        self._reporter.progress.planned(steps=self._course.steps, seconds=self._course.seconds)
        if self._spent() >= 1:
            return
        with _quiet_lightning():
            trainer = _trainer(self._where, self._recipe, self._out)
            try:
                trainer.fit(self, self._batches, ckpt_path=checkpoint if resumes else None)
            except SIGTERMException:
                # Lightning held the signal back until the step was done and saved; now it counts.
                signal.raise_signal(signal.SIGTERM)
                raise
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None
        if self._spent() < 1:  # what older versions of it make of Ctrl-C
            raise KeyboardInterrupt

    def finish(self) -> TrainingResult:
        """Write the weight files and say what the training came to."""
        state, best = self._state, self._state.best
        save_weights(self._network, self.module.state_dict(), self._out / LAST)
        reported = {f"last_{name}": value for name, value in state.validated.items()}
        if best is not None:
            save_weights(self._network, best["weights"], self._out / BEST)
            reported |= {**best["values"], "best_step": float(best["step"])}
        return TrainingResult(
            weights=self._out / (LAST if best is None else BEST),
            steps=state.step,
            images=state.images,
            train_s=state.train_s,
            not_honoured={},
            self_reported=reported,
        )

    def _spent(self) -> float:
        return self._course.fraction(step=self._state.step, train_s=self._state.train_s)

    # ------------------------------------------------------------------ a step, called by Lightning

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser, in its fused form: one kernel for many weights."""
        recipe, weights = self._recipe, self.module.parameters()
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(
                weights, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=True
            )
        optimizer = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        return optimizer(weights, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)

    def on_train_start(self) -> None:
        """Put the random state of a checkpoint back, and start the clock."""
        _set_random_state(self._random_state, self._where)
        self._counting_since = self._saved_at = time.perf_counter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate by the share of the budget that is spent."""
        rate = learning_rate(self._recipe, self._spent())
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self._reporter.learning_rate = rate

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch: pixels uint8 (B, H, W, 3) and labels uint8 (B, H, W)."""
        pixels, labels = batch
        logits = resize_logits(self._logits(pixels), Size(*labels.shape[-2:]))
        loss = self._loss(logits, labels, self._network.head)
        self._reporter.add(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the step; report, validate, save and stop where it is time to."""
        self._count_seconds()
        state = self._state
        state.step += 1
        state.images += len(batch[0])
        ends = self._spent() >= 1
        self._reporter.step_done(state, now=ends)
        if len(self._val_split) and (ends or self._validation_is_due()):
            with self._clock_stopped():
                self._validate()
        if ends or self.trainer.received_sigterm or self._checkpoint_is_due():
            with self._clock_stopped():
                self._save_checkpoint()
        self.trainer.should_stop = ends

    def _validation_is_due(self) -> bool:
        epochs, within = divmod(self._state.step, self._batches.steps_per_epoch)
        every = self._recipe.validate_every
        return every is not None and within == 0 and epochs % every == 0

    def _checkpoint_is_due(self) -> bool:
        return time.perf_counter() - self._saved_at >= self._recipe.checkpoint_every_s

    def _logits(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.module(self._normalise(pixels, channels_last=self._recipe.channels_last))
        return logits

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self._state.train_s += now - self._counting_since
        self._counting_since = now

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        """Leave out of the training seconds what is not a step; queued steps are finished before."""
        devices.synchronize(self._where)
        self._count_seconds()
        yield
        self._counting_since = time.perf_counter()

    def _validate(self) -> None:
        with devices.autocast(self._where, self._recipe.precision):
            values = validate(
                self._network,
                self._val_split,
                self._loss,
                batch_size=self._recipe.batch_size,
                forward=self._logits,
                device=self._where,
            )
        state = self._state
        state.validated = values
        self._reporter.progress.validated(step=state.step, images=state.images, train_s=state.train_s, values=values)
        score = values.get("val_mean_iou")
        if score is not None and (state.best is None or score > state.best["values"]["val_mean_iou"]):
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.module.state_dict().items()}
            state.best = {"step": state.step, "values": values, "weights": weights}

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        unfinished = self._out / f"{CHECKPOINT}.tmp"
        self.trainer.save_checkpoint(unfinished)
        unfinished.replace(self._out / CHECKPOINT)
        self._saved_at = time.perf_counter()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of."""
        state = {name: getattr(self._state, name) for name in asdict(_State())}
        checkpoint["segbench"] = {
            "identity": self._identity(),
            "state": state,
            "random": _get_random_state(self._where),
        }

    def _read_checkpoint(self, path: Path) -> None:
        """Take up the state of a checkpoint; Lightning restores the optimiser, the scaler and its loops."""
        content = torch.load(path, map_location="cpu", weights_only=True)
        own = content["segbench"]
        if own["identity"] != self._identity():
            raise BenchError(f"{path} is the checkpoint of another training; remove it to train anew")
        self._state = _State(**own["state"])
        self._random_state = own["random"]
        self._batches.first_step = self._state.step
        self.load_state_dict(content["state_dict"])

    def _identity(self) -> str:
        """What a training must share with a checkpoint to go on from it."""
        network = self._network
        sizes: list[Any] = [len(self._train_split), len(self._val_split)]
        return digest([network.architecture, list(network.class_names), as_json_dict(self._recipe), sizes])


class _Reporter:
    """Tells `Progress` of steps, seldom enough not to hold the device up."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.learning_rate = 0.0
        self._losses: list[Tensor] = []
        self._reported_s = -math.inf

    def add(self, loss: Tensor) -> None:
        """Take the loss of the current step, still on its device."""
        self._losses.append(loss)

    def step_done(self, state: _State, *, now: bool) -> None:
        """Report if it is time to, or if it is asked for `now`."""
        if not now and state.train_s - self._reported_s < REPORT_EVERY_S:
            return
        loss = torch.stack(self._losses).mean().item()
        self._losses.clear()
        self._reported_s = state.train_s
        if not math.isfinite(loss):
            raise BenchError(
                f"training diverged: the loss is {loss} by step {state.step}. "
                "Lower 'learning_rate' or raise 'warmup_fraction' in the recipe."
            )
        self.progress.step(
            step=state.step,
            images=state.images,
            train_s=state.train_s,
            loss=loss,
            learning_rate=self.learning_rate,
        )


def _trainer(device: torch.device, recipe: Recipe, out: Path) -> lightning.Trainer:
    """A Lightning trainer that runs until it is told to stop, and writes nothing on its own."""
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index] if device.type == "cuda" else 1,
        precision=_LIGHTNING_PRECISION[recipe.precision],
        max_epochs=-1,
        default_root_dir=out,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _get_random_state(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners and its advice on loaders out of the worker's log."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
