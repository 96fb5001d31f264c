"""One recipe for every torch-native network, on Lightning.

Lightning owns the loop, the precision and its gradient scaler, accumulation, clipping, the
optimiser step, the device, the processes of a distributed training, and the checkpoint. What is
trained, on what and by which loss is a `Trainee`. A training is one endless Lightning epoch over
batches that depend on the step alone, so that a resumed training sees what an uninterrupted one
would have seen.

With `devices` above 1 Lightning starts the running command again for every further process; each
trains on its share of every batch, and the gradients are averaged. Batch normalisation then sees
the whole batch on CUDA, each process's share on a CPU.
"""

from __future__ import annotations

import logging
import signal
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from adapters._torch.training.augment import RandomChanges
from adapters._torch.training.backbone import Backbone
from adapters._torch.training.checkpoints import CHECKPOINT, BestValidation
from adapters._torch.training.clock import TrainingClock
from adapters._torch.training.moving_average import MovingAverage
from adapters._torch.training.order import Chosen
from adapters._torch.training.prefetching import Prefetched, loading_threads
from adapters._torch.training.recipe import identity, image_order, make_optimizer
from adapters._torch.weights import Weighted
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.records import Recipe

_LIGHTNING_PRECISION: dict[str, Any] = {"fp32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Trainee(ABC):
    """A network with what it learns from.

    Attributes:
        network: Its module is trained in place; its initial weights are the caller's.
        order: Which images make which batch.
        better_by: See `adapters._torch.training.checkpoints.BestValidation`.
        identity: What this training must share with a checkpoint to go on from it.
    """

    better_by: tuple[str, ...]
    network: Weighted

    def __init__(
        self, network: Weighted, data: TrainingData, recipe: Recipe, device: torch.device, fill: tuple[float, ...]
    ) -> None:
        """Prepare; `fill` is the colour, 0-1 for each channel, of what random changes bring in from outside."""
        self.network, self.identity = network, identity(network, data, recipe)
        self._recipe, self._device = recipe, device
        self._changes = RandomChanges(recipe, fill=fill, device=device)
        self.order = image_order(data, recipe)

    @abstractmethod
    def load(self, chosen: Chosen) -> Any:
        """Return a batch: tensors on the host, in tuples, lists or dictionaries."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Any) -> Tensor:
        """Return the loss, a scalar, of a batch that lies on the device."""

    @abstractmethod
    def validate(self, module: nn.Module) -> dict[str, float] | None:
        """Return scores on the validation split, in the recipe's precision; None where there is nothing to."""


def train(
    trainee: Trainee, recipe: Recipe, out: Path, progress: Progress, device: torch.device, not_honoured: dict[str, str]
) -> TrainingResult:
    """Train by a recipe; goes on from `checkpoint.pt` in `out` if there is one.

    With a budget in steps or epochs, on a CPU with a fixed number of threads, the same seed gives
    the same weights, and a training that was killed and resumed gives those of an uninterrupted one.

    Args:
        out: Gets `checkpoint.pt`, and at the end `last.pt` and, with a validation, `best.pt`.
        progress: Receives the steps, at most every 0.2 training seconds with the mean loss since the last report, and
            the validations.
        device: See `adapters._torch.training.recipe.open_training`.
        not_honoured: Handed to the result.

    Returns:
        The weights with the best validation, the last ones where nothing was validated;
        `self_reported` has the scores of both and `best_step`.

    Raises:
        BenchError: If the loss stops being finite, the batch cannot be shared by the recipe's
            `devices`, or `out` holds the checkpoint of another training.
    """
    if trainee.order.batch_size % recipe.devices:
        raise BenchError(
            f"recipe: {recipe.devices} devices cannot share batches of {trainee.order.batch_size} images evenly; "
            f"make 'batch_size' a multiple of 'devices', with at least that many training images"
        )
    training = _Training(trainee, recipe, out, progress, device)
    training.run()
    if _rank() > 0:
        raise SystemExit  # a further process has done its part; the first one writes
    kept, last = training.kept, training.weights().state_dict()
    waited_s = training.data_wait_s()
    return kept.finish(trainee.network, last, out, training.clock, not_honoured=not_honoured, data_wait_s=waited_s)


class _Training(lightning.LightningModule):
    """Hold what a step is, and the state of a training beside Lightning's own."""

    def __init__(self, trainee: Trainee, recipe: Recipe, out: Path, progress: Progress, device: torch.device) -> None:
        super().__init__()
        self.module = trainee.network.module
        self.averaged: MovingAverage | None = None
        self.kept = BestValidation(trainee.better_by, recipe.early_stopping)
        order = trainee.order
        self.clock = TrainingClock(recipe, progress, order.steps_per_epoch, device, images_of=order.of_step)
        self._trainee, self._recipe, self._out, self._where = trainee, recipe, out, device
        self._batches = _Batches(trainee, recipe, device)
        self._backbone = Backbone(self.module, getattr(trainee.network, "backbone", ()), recipe)
        self._losses: list[Tensor] = []
        self._random_state: dict[str, Tensor] = {}
        self._rate = 0.0

    def weights(self) -> nn.Module:
        """Return what is validated and kept: the network, or the moving average of its weights."""
        return self.module if self.averaged is None else self.averaged.module

    def run(self) -> None:
        """Train until the budget is spent."""
        torch.manual_seed(self._recipe.seed)
        self.module.to(memory_format=torch.channels_last if self._recipe.channels_last else torch.contiguous_format)
        if self._recipe.ema_decay is not None:
            self.averaged = MovingAverage(self.module, self._recipe.ema_decay)
        checkpoint = self._out / CHECKPOINT
        resumes = checkpoint.is_file()
        if resumes:
            self._read_checkpoint(checkpoint)
        if self.clock.spent or self.kept.exhausted:
            self.clock.start()
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
        if not self.clock.spent:  # what older versions of it make of Ctrl-C
            raise KeyboardInterrupt

    # ------------------------------------------------------------------ a step, called by Lightning

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the recipe's optimiser; Lightning cannot clip what a fused one has unscaled."""
        return make_optimizer(self._recipe, self._backbone.groups(), fused=self._recipe.clip_gradient_norm is None)

    def on_train_start(self) -> None:
        """Put the random state of a checkpoint back, and start the clock.

        Raises:
            BenchError: If the batches are shared among fewer, or more, processes than there are.
        """
        if self.trainer.world_size != self._recipe.devices:
            raise BenchError(
                f"recipe: 'devices: {self._recipe.devices}' shares each batch among that many processes, but "
                f"{self.trainer.world_size} are training; start bench outside of a launcher (srun, torchrun)"
            )
        if "cpu" in self._random_state:
            torch.set_rng_state(self._random_state["cpu"])
        if "cuda" in self._random_state:
            torch.cuda.set_rng_state(self._random_state["cuda"], self._where)
        self.clock.start()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate, and what learns, by the share of the budget that is spent."""
        self._rate = self.clock.learning_rate
        self._backbone.begin_step(self.trainer.optimizers[0], self._rate, self.clock.fraction)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self._trainee.loss(self.module, batch)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the step; report, validate, save and stop where it is time to."""
        if len(self._losses) < self._recipe.accumulate:
            return
        clock = self.clock
        clock.step_done(torch.stack(self._losses).mean(), self._trainee.order.images_per_step, self._rate)
        self._losses.clear()
        if self.averaged is not None:
            self.averaged.update_parameters(self.module)
        clock.train_s = self._agreed(clock.train_s)
        if clock.validation_is_due:
            with clock.stopped():
                self._validate()
        if clock.spent or self._agreed(clock.checkpoint_is_due or self.trainer.received_sigterm):
            with clock.stopped():
                self._save_checkpoint()
        self.trainer.should_stop = clock.spent

    def _agreed(self, value: float) -> float:
        """Return what the first process found, for all: they must validate, stop and save in the same step."""
        if self.trainer.world_size == 1:
            return value
        found = torch.tensor(value, dtype=torch.float64, device=self._where)
        torch.distributed.broadcast(found, src=0)
        return found.item()

    def _validate(self) -> None:
        module = self.weights()
        was_training = module.training
        module.eval()
        values = self._trainee.validate(module)
        module.train(was_training)
        if values is None:
            return
        self.kept.take(self.clock.step, values, module.state_dict())
        self.clock.validated(values)
        if self._agreed(self.kept.exhausted):
            self.clock.stop()

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        if not all(bool(tensor.isfinite().all()) for tensor in self.module.parameters()):
            raise self.clock.diverged(self.clock.step - 1, "a weight is no finite number any more")
        unfinished = self._out / f"{CHECKPOINT}.tmp"
        self.trainer.save_checkpoint(unfinished)
        if self.trainer.is_global_zero:
            unfinished.replace(self._out / CHECKPOINT)
        self.clock.saved()

    def data_wait_s(self) -> float:
        """Return the seconds that this process waited for its batches so far."""
        return self._batches.ahead.waited_s

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of."""
        states = {"cpu": torch.get_rng_state()}
        if self._where.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._where)
        checkpoint["segbench"] = {
            "identity": self._trainee.identity,
            "clock": [self.clock.step, self.clock.images, self.clock.train_s],
            "data_wait_s": self.data_wait_s(),
            "kept": self.kept.state(),
            "random": states,
        }

    def _read_checkpoint(self, path: Path) -> None:
        """Take up the state of a checkpoint; Lightning restores the optimiser, the scaler and its loops."""
        content = torch.load(path, map_location="cpu", weights_only=True)
        own = content["segbench"]
        if own["identity"] != self._trainee.identity:
            raise BenchError(f"{path} is the checkpoint of another training; remove it to train anew")
        self.clock.step, self.clock.images, self.clock.train_s = own["clock"]
        self._batches.ahead.waited_s = own.get("data_wait_s", 0.0)
        self.kept.take_up(own["kept"])
        self._random_state = own["random"]
        self._batches.first_step = self.clock.step
        self.load_state_dict(content["state_dict"])


class _Batches(IterableDataset[Any]):
    """The batches of a trainee, from a step on, without end."""

    def __init__(self, trainee: Trainee, recipe: Recipe, device: torch.device) -> None:
        self._trainee, self._ranks = trainee, recipe.devices
        self.first_step = 0
        self.ahead: Prefetched[Chosen, Any] = Prefetched(trainee.load, loading_threads(device, recipe.devices))

    def __iter__(self) -> Iterator[Any]:
        return self.ahead.over(self._chosen())

    def _chosen(self) -> Iterator[Chosen]:
        """This process's share of every batch."""
        order, step = self._trainee.order, self.first_step
        while True:
            for part in range(order.accumulate):
                yield order.batch(step, part).share(_rank(), self._ranks)
            step += 1


def _rank() -> int:
    """Return the number of this process among those of a distributed training; 0 alone."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


class _CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints as files; Lightning's own way first imports the clients of all stores behind URLs."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        torch.save(checkpoint, path)


def _trainer(device: torch.device, recipe: Recipe, out: Path) -> lightning.Trainer:
    """Return a Lightning trainer that runs until it is told to stop, and writes nothing on its own."""
    alone = recipe.devices == 1
    on_gpu = device.type == "cuda"
    return lightning.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[device.index] if on_gpu and alone else recipe.devices,
        strategy="auto" if alone else "ddp",
        sync_batchnorm=on_gpu and not alone,
        precision=_LIGHTNING_PRECISION[recipe.precision],
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip_gradient_norm,
        max_epochs=-1,
        default_root_dir=out,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # This process starts the others. Within a job of SLURM Lightning would take it for one of those that srun
        # starts, and train alone on its share of each batch.
        plugins=[LightningEnvironment(), _CheckpointFiles()],
    )


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
