"""The harness's recipe on Detectron2's own trainer.

`SimpleTrainer` (`AMPTrainer` for fp16) owns the loop, the losses and the step; a hook counts, sets
the learning rate, validates, saves and stops. Nothing is registered in the framework's catalogues.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detectron2.engine import HookBase
from detectron2.engine.train_loop import AMPTrainer, SimpleTrainer
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.training.backbone import Backbone
from adapters._torch.training.checkpoints import CHECKPOINT, BestValidation
from adapters._torch.training.clock import TrainingClock
from adapters._torch.training.prefetching import loading_threads
from adapters._torch.training.recipe import identity, image_order, make_optimizer, not_offered, open_training
from adapters._torch.training.validation import mean_iou
from adapters._torch.weights import save_atomically
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import NOT_OFFERED, Detectron2Options
from adapters.detectron2.panoptic_deeplab import CentreTargets
from adapters.detectron2.records import TrainingBatches, TrainingRecords
from adapters.detectron2.stages import SemanticStages, normalised
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.records import IGNORE_LABEL, Recipe, Size, Target
from bench.records.predictions import SemanticMap

if TYPE_CHECKING:
    from adapters.detectron2.adapter import Detectron2Network

NEVER = 10**9
"""Steps between the framework's own metrics: reading them waits for the device, and ours are reported."""


class BudgetSpentError(BaseException):
    """Ends the framework's loop, which would log any `Exception` as a failure."""


def fit(
    network: Detectron2Network,
    options: Detectron2Options,
    labels: LabelSpace,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    progress: Progress,
) -> TrainingResult:
    """Train a network in place by a recipe; goes on from `checkpoint.pt` in `out` if there is one.

    Returns:
        For label maps the weights with the highest `val_mean_iou`, else the last ones.

    Raises:
        Unsupported, BenchError: As `open_training`; the latter also if the loss stops being finite.
    """
    device = open_training(data, recipe, out)
    torch.manual_seed(recipe.seed)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.module.to(device).to(memory_format=layout).train()
    centres = None
    if options.architecture == "panoptic_deeplab":
        small = {"small_area": options.small_area, "small_weight": options.small_weight}
        centres = CentreTargets(labels, sigma=options.center_sigma, **small)
    training = _Training(network, labels, centres, data, recipe, out, progress, device)
    training.run(options.clip_gradients if recipe.clip_gradient_norm is None else recipe.clip_gradient_norm)
    return training.finish()


class _Training:
    """One training: the framework's trainer with the harness's hook."""

    def __init__(
        self,
        network: Detectron2Network,
        labels: LabelSpace,
        centres: CentreTargets | None,
        data: TrainingData,
        recipe: Recipe,
        out: Path,
        progress: Progress,
        device: torch.device,
    ) -> None:
        self.network, self.recipe, self.device = network, recipe, device
        self._labels, self._out = labels, out
        self._identity = identity(network, data, recipe)
        bgr = getattr(network.module, "input_format", "BGR") != "RGB"
        read: dict[str, Any] = {"size": recipe.image_size, "bgr": bgr}
        self.order = image_order(data, recipe)
        train = TrainingRecords(data.train, data.task.kind, labels, **read, centres=centres)
        self.batches = TrainingBatches(train, self.order, loading_threads(device, processes=1))
        semantic = data.task.kind == "semantic"
        self._val = TrainingRecords(data.val, "semantic", labels, **read) if semantic else None
        self.clock = TrainingClock(recipe, progress, self.order.steps_per_epoch, device, images_of=self.order.of_step)
        self.backbone = Backbone(network.module, network.backbone, recipe)
        self.optimizer = make_optimizer(recipe, self.backbone.groups())
        self._kept = BestValidation(("val_mean_iou",), recipe.early_stopping)

    def run(self, clip_gradients: float | None) -> None:
        """Train until the budget is spent."""
        if (self._out / CHECKPOINT).is_file():
            self._read_checkpoint(self._out / CHECKPOINT)
        self.clock.start()
        if self.clock.spent or self._kept.exhausted:
            return
        trained = _Trained(self.network.module, self.device, self.recipe)
        if self.recipe.precision == "fp16":
            trainer: SimpleTrainer = _AMPTrainer(trained, self.batches, self.optimizer, gather_metric_period=NEVER)
        else:
            trainer = _SimpleTrainer(trained, self.batches, self.optimizer, gather_metric_period=NEVER)
        trainer.clip_gradients = clip_gradients
        trainer.register_hooks([_Hook(self, trained)])
        with contextlib.suppress(BudgetSpentError):
            trainer.train(self.clock.step, NEVER)

    def after_step(self, loss: Tensor, rate: float) -> None:
        """Count a step; validate, save and stop where it is time to."""
        clock = self.clock
        clock.step_done(loss, self.order.batch_size, rate)
        if self._val is not None and len(self._val) and clock.validation_is_due:
            with clock.stopped():
                self._validate(self._val)
            if self._kept.exhausted:
                clock.stop()
        if clock.checkpoint_is_due:
            with clock.stopped():
                self._save_checkpoint()
        if clock.spent:
            raise BudgetSpentError

    def finish(self) -> TrainingResult:
        """Write the weight files and say what the training came to."""
        weights = self.network.module.state_dict()
        unlike, waited_s = self._not_honoured(), self.batches.ahead.waited_s
        return self._kept.finish(
            self.network, weights, self._out, self.clock, not_honoured=unlike, data_wait_s=waited_s
        )

    def _not_honoured(self) -> dict[str, str]:
        unlike = not_offered(self.recipe, NOT_OFFERED, "Detectron2's trainer")
        if self.recipe.loss != "cross_entropy":
            unlike["loss"] = "Detectron2's heads bring their own losses; semantic ones use cross-entropy"
        if self._val is None and self.recipe.validate_every is not None:
            unlike["validate_every"] = (
                "its evaluators of instances want a registered data set; the last weights are kept"
            )
        return unlike

    # ------------------------------------------------------------------ validation

    def _validate(self, val: TrainingRecords) -> None:
        values = {"val_mean_iou": score} if (score := self._mean_iou(val)) is not None else {}
        self._kept.take(self.clock.step, values, self.network.module.state_dict())
        self.clock.validated(values)

    @torch.inference_mode()
    def _mean_iou(self, val: TrainingRecords) -> float | None:
        """Return the mean IoU over classes with union > 0 at the training size."""
        module, classes = self.network.module.eval(), len(self._labels.semantic)
        stages = SemanticStages(module, self._labels, Target())
        counts = np.zeros(classes**2, dtype=np.int64)
        for record in (val[i] for i in range(len(val))):
            images = normalised(module, [record["image"].to(self.device)])
            with devices.autocast(self.device, self.recipe.precision):
                raw = stages.infer(images)
            target = record["sem_seg"].numpy()
            (predicted,) = stages.predictions(raw, images, [Size(*target.shape)])
            assert isinstance(predicted, SemanticMap)
            known = target != IGNORE_LABEL
            counts += np.bincount(target[known] * classes + predicted.labels[known], minlength=classes**2)
        module.train()
        return mean_iou(torch.from_numpy(counts.reshape(classes, classes)))

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        content = {
            "identity": self._identity,
            "weights": self.network.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clock": [self.clock.step, self.clock.images, self.clock.train_s],
            "random": torch.get_rng_state(),
            "data_wait_s": self.batches.ahead.waited_s,
            "kept": self._kept.state(),
        }
        save_atomically(content, self._out / CHECKPOINT)
        self.clock.saved()

    def _read_checkpoint(self, path: Path) -> None:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != self._identity:
            raise BenchError(f"{path} is the checkpoint of another training; remove it to train anew")
        self.network.module.load_state_dict(content["weights"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.clock.step, self.clock.images, self.clock.train_s = content["clock"]
        self.batches.first_step = self.clock.step
        self.batches.ahead.waited_s = content.get("data_wait_s", 0.0)
        self._kept.take_up(content["kept"])
        torch.set_rng_state(content["random"])


class _Hook(HookBase):
    """State where the framework's loop calls the harness."""

    def __init__(self, training: _Training, trained: _Trained) -> None:
        self._training, self._trained = training, trained
        self._rate = 0.0

    def before_step(self) -> None:
        """Set the learning rate, and what learns, by the share of the budget that is spent."""
        training, clock = self._training, self._training.clock
        self._rate = clock.learning_rate
        training.backbone.begin_step(training.optimizer, self._rate, clock.fraction)

    def after_step(self) -> None:
        """Hand the loss on."""
        self._training.after_step(self._trained.loss, self._rate)


class _Trained(nn.Module):
    """The network in the recipe's precision, remembering the sum of its losses."""

    def __init__(self, module: nn.Module, device: torch.device, recipe: Recipe) -> None:
        super().__init__()
        self.module, self._device, self._precision = module, device, recipe.precision
        self.loss = torch.zeros(())

    def forward(self, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
        with devices.autocast(self._device, self._precision):
            losses: dict[str, Tensor] = self.module(batch)
        self.loss = torch.stack([loss.detach() for loss in losses.values()]).sum()
        return losses


class _Clips:
    """Clips the norm of all gradients together, where the framework leaves room for it."""

    model: nn.Module  # both are the trainer's
    optimizer: torch.optim.Optimizer
    clip_gradients: float | None = None

    def after_backward(self) -> None:
        if self.clip_gradients is None:
            return
        scaler = getattr(self, "grad_scaler", None)
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_gradients)


class _SimpleTrainer(_Clips, SimpleTrainer):
    pass


class _AMPTrainer(_Clips, AMPTrainer):
    pass
