"""Gives a semantic-segmentation network what it learns from, for `adapters._torch.training.loop`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.images import Normalisation, resize_logits
from adapters._torch.network import SemanticNetwork
from adapters._torch.training.augment import DeviceAugmentation
from adapters._torch.training.batches import DecodedSplit, as_batch, class_pixels, load_batch
from adapters._torch.training.loop import Trainee, train
from adapters._torch.training.losses import read_loss
from adapters._torch.training.order import Chosen
from adapters._torch.training.recipe import open_training
from adapters._torch.training.validation import validate
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.records import Recipe, Size


def fit(network: SemanticNetwork, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
    """Train a network that labels pixels in place; arguments and results as of `adapters._torch.training.loop.train`.

    Raises:
        Unsupported: If the device or precision cannot be had.
        BenchError: If the training split is empty or the loss is unknown; and as `train`.
    """
    device = open_training(data, recipe, out)
    return train(SemanticTrainee(network, data, recipe, device), recipe, out, progress, device, not_honoured={})


SemanticBatch: TypeAlias = tuple[Tensor, Tensor, DeviceAugmentation | None]


class SemanticTrainee(Trainee):
    """A `Trainee` of label maps: the weights with the highest `val_mean_iou` are the best."""

    better_by = ("val_mean_iou",)
    network: SemanticNetwork

    def __init__(self, network: SemanticNetwork, data: TrainingData, recipe: Recipe, device: torch.device) -> None:
        super().__init__(network, data, recipe, device, network.mean)
        # A part is cut out of an image that has its own size, or that of the recipe.
        size = recipe.image_size if recipe.random_crop is not None else recipe.image_size or network.input.size
        self._train = DecodedSplit(data.train, size, network.input)
        self._val = DecodedSplit(data.val, recipe.image_size or network.input.size, network.input)
        self._loss = read_loss(recipe.loss, class_pixels=self._class_pixels)
        self._normalise = Normalisation(network.mean, network.std, device, network.input.channels)

    def load(self, chosen: Chosen) -> SemanticBatch:
        """Return pixels uint8 (B, H, W, 3) and labels uint8 (B, H, W), and what the device is to change of them."""
        pairs = load_batch(self._train, chosen, self._changes.by_loader)
        later = self._changes.drawn([labels.shape for _, labels in pairs], chosen.seeds)
        return (*as_batch(pairs, self.network.mean, pin=self._device.type == "cuda"), later)

    def loss(self, module: nn.Module, batch: SemanticBatch) -> Tensor:
        """Return the recipe's loss at the size of the labels."""
        pixels, labels, later = batch
        self._changes.make(later, pixels, labels)
        logits = resize_logits(self._logits(module, pixels), Size(*labels.shape[-2:]))
        return self._loss(logits, labels, self.network.head)

    def validate(self, module: nn.Module) -> dict[str, float] | None:
        """`val_loss` and `val_mean_iou` at the training size."""
        if not len(self._val):
            return None
        with devices.autocast(self._device, self._recipe.precision):
            return validate(
                self.network,
                self._val,
                self._loss,
                batch_size=self._recipe.batch_size,
                forward=lambda pixels: self._logits(module, pixels),
                device=self._device,
            )

    def _logits(self, module: nn.Module, pixels: Tensor) -> Tensor:
        logits: Tensor = module(self._normalise(pixels, channels_last=self._recipe.channels_last))
        return logits

    def _class_pixels(self) -> NDArray[np.int64]:
        masks = (self._train[index][1] for index in range(len(self._train)))
        return np.asarray(class_pixels(masks, self.network.head.classes).sum(axis=0))
