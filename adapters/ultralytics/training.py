"""The harness's recipe on Ultralytics' own trainers.

`SegmentationTrainer` and `SemanticSegmentationTrainer` own the loop, the losses, the clipping of
gradients (norm 10), the moving average of the weights (which is what is validated and kept) and the
validation. Callbacks count, set the learning rate, choose the images, save and stop. The data set is
exported to the framework's format below `out`, and removed once the training is done.

Switched off: mosaic and every other augmentation but mirroring, its warm-up and schedule (the
recipe's are used), plots, its own checkpoints, early stopping, and halving the batch when memory
runs out. Mixed precision is torch's autocast, bf16 on a CPU too; validation on a CPU is in fp32.
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

from adapters._torch import device as devices
from adapters._torch.training.checkpoints import CHECKPOINT, BestValidation
from adapters._torch.training.clock import TrainingClock
from adapters._torch.training.order import ImageOrder
from adapters._torch.training.recipe import image_order, open_training
from adapters._torch.weights import save_atomically
from adapters.ultralytics import environment
from adapters.ultralytics.arguments import DECAY_STEPS, not_honoured, trainer_arguments, training_side
from adapters.ultralytics.export import export
from adapters.ultralytics.framework import SegmentationTrainer, SemanticSegmentationTrainer
from adapters.ultralytics.network import YoloNetwork
from adapters.ultralytics.options import InstanceOptions
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.records import Recipe, as_json_dict, digest

FRAMEWORK_FOLDER = "ultralytics"
"""The arguments that the trainer ran with lie here, below `out`."""

NEVER = 10**9
REPORTED = {
    "metrics/mAP50(M)": "mask_map50",
    "metrics/mAP50-95(M)": "mask_map",
    "metrics/mIoU": "mean_iou",
    "metrics/pixel_acc": "pixel_accuracy",
}
"""The framework's names of its own figures -> ours."""

DECISIVE = ("mask_map", "mean_iou")
"""The figure by which the best weights are chosen."""


class BudgetSpentError(BaseException):
    """Ends the framework's loop, which takes some exceptions for errors it can fix."""


def fit(network: YoloNetwork, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
    """Train a network in place by a recipe; goes on from `checkpoint.pt` in `out` if there is one.

    Returns:
        The averaged weights with the highest `mask_map` or `mean_iou` of the framework's own
        validation; `self_reported` has its figures and the counts of what the export lost.

    Raises:
        Unsupported: If the device or precision cannot be had.
        BenchError: If the training split is empty, the loss stops being finite, or `out` holds the
            checkpoint of another training.
    """
    with environment.contained():
        device = open_training(data, recipe, out)
        training = _Training(network, data, recipe, out, progress, device)
        training.run()
        return training.finish()


class _Training:
    """One training: the framework's trainer with the harness's callbacks."""

    def __init__(
        self,
        network: YoloNetwork,
        data: TrainingData,
        recipe: Recipe,
        out: Path,
        progress: Progress,
        device: torch.device,
    ) -> None:
        self._network, self._data, self._recipe, self._out, self._device = network, data, recipe, out, device
        for layer in network.module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = network.options.bn_momentum
        self._order = image_order(data, recipe)
        self._sampler = EpochOrder(self._order)
        self._clock = TrainingClock(
            recipe, progress, self._order.steps_per_epoch, device, images_of=self._order.of_step
        )
        self._kept = BestValidation(DECISIVE, recipe.early_stopping)
        self._rate = 0.0

    # ------------------------------------------------------------------ the whole training

    def run(self) -> None:
        """Train until the budget is spent."""
        self._checkpoint = self._read_checkpoint()
        names, ids = self._network.class_names, self._network.class_ids
        self._exported = export(self._data, names, ids, self._out / FRAMEWORK_FOLDER / "data")
        self._side = training_side(self._recipe, self._exported.sizes)
        if self._data.task.kind == "instance":
            print(f"exported {self._exported.counts}")
        trainer = self._trainer()
        # Its progress bars go to standard output whatever they are told; its warnings come through a logger.
        with contextlib.suppress(BudgetSpentError), contextlib.redirect_stdout(io.StringIO()):
            trainer.train()

    def finish(self) -> TrainingResult:
        """Write the weight files, remove the exported data, and say what the training came to."""
        shutil.rmtree(self._exported.yaml.parent)
        (self._out / FRAMEWORK_FOLDER / "results.csv").unlink(missing_ok=True)  # its figures without a validation
        return self._kept.finish(
            self._network,
            self._averaged,
            self._out,
            self._clock,
            not_honoured=not_honoured(self._network.options, self._recipe, side=self._side, sizes=self._exported.sizes),
            more=self._exported.counts.as_values() if self._data.task.kind == "instance" else None,
        )

    # ------------------------------------------------------------------ the framework's trainer

    def _trainer(self) -> Any:
        """Return the framework's trainer around our network, with our callbacks."""
        options, recipe, batch_size = self._network.options, self._recipe, self._order.batch_size
        arguments = trainer_arguments(options, recipe, side=self._side, batch_size=batch_size, device=self._device)
        arguments |= {"data": str(self._exported.yaml), "save_dir": str(self._out / FRAMEWORK_FOLDER)}
        kind = SegmentationTrainer if isinstance(options, InstanceOptions) else SemanticSegmentationTrainer
        threads = torch.get_num_threads()
        environment.set_threads(threads)
        trainer: Any = kind(overrides=arguments)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        trainer.model = self._network.module.to(self._device).to(memory_format=layout)
        devices.set_threads(threads)
        for event in ("on_pretrain_routine_end", "on_train_start", "on_train_epoch_start", "on_train_batch_start"):
            trainer.add_callback(event, getattr(self, event))
        for event in ("on_train_batch_end", "on_train_epoch_end"):
            trainer.add_callback(event, getattr(self, event))
        return trainer

    # ------------------------------------------------------------------ callbacks, named as the framework's events

    def on_pretrain_routine_end(self, trainer: Any) -> None:
        """Put our order of the images, the precision, and the state of a checkpoint in place."""
        trainer.epochs = NEVER  # the arguments' number of epochs only times the NMS-free head's share
        dataset: Any = trainer.train_loader.dataset
        trainer.train_loader = DataLoader(
            dataset,
            batch_size=self._order.batch_size,
            sampler=self._sampler,
            drop_last=True,
            collate_fn=dataset.collate_fn,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),
        )
        # Not by the argument, which would download a network to try mixed precision with, and knows bf16 on CUDA only.
        if self._recipe.precision == "fp16":
            trainer.amp, trainer.scaler = True, torch.amp.GradScaler("cuda")
        elif self._recipe.precision == "bf16" and self._device.type == "cpu":
            trainer.amp = True  # torch's autocast on a CPU is bf16
        torch.manual_seed(self._recipe.seed)
        if self._checkpoint is not None:
            self._take_up(trainer, self._checkpoint)

    def on_train_start(self, trainer: Any) -> None:
        """Start the clock; end at once where the checkpoint's budget is spent."""
        self._clock.start()
        self._averaged = trainer.ema.ema.state_dict()
        if self._clock.spent or self._kept.exhausted:
            raise BudgetSpentError

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Choose the images of the epoch; have lack of memory raised instead of the batch halved."""
        self._sampler.step = self._clock.step
        trainer._oom_retries = NEVER
        self._seed_flips()

    def on_train_batch_start(self, trainer: Any) -> None:
        """Set the learning rate by the share of the budget that is spent."""
        self._rate = self._clock.learning_rate
        for group in trainer.optimizer.param_groups:
            group["lr"] = self._rate

    def on_train_batch_end(self, trainer: Any) -> None:
        """Count the step; validate, save and stop where it is time to."""
        clock = self._clock
        clock.step_done(trainer.loss, self._order.batch_size, self._rate)
        if len(self._data.val) and clock.validation_is_due:
            with clock.stopped():
                self._validate(trainer)
            if self._kept.exhausted:
                clock.stop()
        if clock.checkpoint_is_due:
            with clock.stopped():
                self._save_checkpoint(trainer)
        if clock.spent:
            raise BudgetSpentError
        self._seed_flips()

    def on_train_epoch_end(self, trainer: Any) -> None:
        """Move the NMS-free head's share of the loss with the budget; stop where the loss is no number."""
        if not bool(trainer.loss.isfinite()):
            raise BenchError(
                f"training diverged: the loss is {trainer.loss.item()} by step {self._clock.step}. "
                "Lower 'learning_rate' or raise 'warmup_fraction' in the recipe."
            )
        self._share_loss(trainer)

    def _share_loss(self, trainer: Any) -> None:
        criterion: Any = getattr(trainer.model, "criterion", None)
        if hasattr(criterion, "update"):
            course, clock = self._clock.course, self._clock
            criterion.updates = round(DECAY_STEPS * course.fraction(step=clock.step, train_s=clock.train_s)) - 1
            criterion.update()

    def _seed_flips(self) -> None:
        """Make the coins of the next batch depend on the seed and the step alone."""
        random.seed(f"{self._recipe.seed} {self._clock.step}")

    # ------------------------------------------------------------------ validation

    def _validate(self, trainer: Any) -> None:
        """The framework's own figures, at the training size and on the averaged weights."""
        found = trainer.validator(trainer)
        values = {name: found[theirs] for theirs, name in REPORTED.items() if theirs in found}
        losses = [value for name, value in found.items() if name.startswith("val/")]
        self._clock.validated({"val_loss": sum(losses), **{f"val_{name}": value for name, value in values.items()}})
        self._kept.take(self._clock.step, values, self._averaged)

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self, trainer: Any) -> None:
        clock = self._clock
        content = {
            "identity": self._identity(),
            "weights": trainer.model.state_dict(),
            "averaged": self._averaged,
            "updates": trainer.ema.updates,
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "clock": [clock.step, clock.images, clock.train_s],
            "random": torch.get_rng_state(),
            "kept": self._kept.state(),
        }
        save_atomically(content, self._out / CHECKPOINT)
        clock.saved()

    def _read_checkpoint(self) -> dict[str, Any] | None:
        path = self._out / CHECKPOINT
        if not path.is_file():
            return None
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != self._identity():
            raise BenchError(f"{path} is the checkpoint of another training; remove it to train anew")
        self._clock.step, self._clock.images, self._clock.train_s = content["clock"]
        self._kept.take_up(content["kept"])
        return content

    def _take_up(self, trainer: Any, content: dict[str, Any]) -> None:
        trainer.model.load_state_dict(content["weights"])
        trainer.ema.ema.load_state_dict(content["averaged"])
        trainer.ema.updates = content["updates"]
        trainer.optimizer.load_state_dict(content["optimizer"])
        trainer.scaler.load_state_dict(content["scaler"])
        trainer.start_epoch = self._clock.step // self._order.steps_per_epoch
        trainer.model.criterion = trainer.model.init_criterion()
        self._share_loss(trainer)
        torch.set_rng_state(content["random"])

    def _identity(self) -> str:
        """Return what a training must share with a checkpoint to go on from it."""
        network, data = self._network, self._data
        sizes: list[Any] = [len(data.train), len(data.val)]
        options = network.options.model_dump(include={"network", "bn_momentum", "nms", "mask_ratio"})
        return digest([options, list(network.class_names), as_json_dict(self._recipe), sizes])


class EpochOrder(Sampler[int]):
    """Indices of an epoch in the order that all torch adapters share, cut into whole batches.

    Attributes:
        step: Step at which the next iteration starts; a resumed epoch starts within.
    """

    def __init__(self, order: ImageOrder) -> None:
        self._order = order
        self.step = 0

    def __len__(self) -> int:
        return self._order.steps_per_epoch * self._order.batch_size

    def __iter__(self) -> Iterator[int]:
        every = self._order.steps_per_epoch
        ends = (self.step // every + 1) * every
        return (image for step in range(self.step, ends) for image in self._order.batch(step).images)
