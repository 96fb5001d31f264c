"""Gives a mask-classification network what it learns from, for `adapters._torch.training.loop`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.images import Normalisation, common_size, stack_images
from adapters._torch.input import IMAGENET_MEAN, IMAGENET_STD
from adapters._torch.training.augment import DeviceAugmentation
from adapters._torch.training.loop import Trainee, train
from adapters._torch.training.order import Chosen
from adapters._torch.training.recipe import open_training
from adapters._torch.training.validation import mean_iou
from adapters.transformers.masks import ClassifiedMasks, at_original_size, class_scores, label_map
from adapters.transformers.networks import MaskClassifier, UniversalNetwork
from adapters.transformers.options import UniversalOptions
from adapters.transformers.rf_detr import BoxedMasks
from adapters.transformers.targets import DecodedMasks, SizeOf, masks_in
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import Unsupported
from bench.records import IGNORE_LABEL, Recipe, Size

MaskBatch = tuple[Tensor, list[Tensor], list[Tensor], DeviceAugmentation | None]
"""Pixels uint8 (B, H, W, 3); of each image its layers of masks and their places, as `Layers.padded` has them; and what
the device is to change of images and layers."""


def fit(
    network: UniversalNetwork,
    options: UniversalOptions,
    size_of: SizeOf,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    progress: Progress,
) -> TrainingResult:
    """Train a network that classifies masks in place, as `adapters._torch.training.loop.train`.

    `size_of` tells the training size of an image of a size, None keeps it.

    Raises:
        Unsupported: If several devices are asked for; for the rest as `open_training`.
    """
    if recipe.devices > 1:
        raise Unsupported("mask-classification networks train on one device here; leave 'devices' out of the recipe")
    device = open_training(data, recipe, out)
    if recipe.clip_gradient_norm is None:
        recipe = recipe.model_copy(update={"clip_gradient_norm": options.clip_gradients})
    trainee = MaskTrainee(network, data, recipe, device, size_of)
    return train(trainee, recipe, out, progress, device, not_honoured=_not_honoured(data, recipe, options))


def _not_honoured(data: TrainingData, recipe: Recipe, options: UniversalOptions) -> dict[str, str]:
    unlike: dict[str, str] = {}
    if recipe.loss != "cross_entropy":
        unlike["loss"] = f"{options.architecture} brings its own: of matched classes and masks"
    if data.task.kind != "semantic":
        for name in ("validate_every", "early_stopping"):
            if getattr(recipe, name) is not None:
                unlike[name] = "only label maps are validated while it trains; the last weights are kept"
    return unlike


class MaskTrainee(Trainee):
    """A `Trainee` of masks with classes.

    Void pixels are in no mask, as in the official code. Of label maps the weights with the highest
    `val_mean_iou` are the best; of instances and segments the last ones are kept.
    """

    better_by = ("val_mean_iou",)
    network: UniversalNetwork

    def __init__(
        self, network: UniversalNetwork, data: TrainingData, recipe: Recipe, device: torch.device, size_of: SizeOf
    ) -> None:
        super().__init__(network, data, recipe, device, IMAGENET_MEAN)
        whole = recipe.random_crop is not None  # a part is cut out of an image that has its own size
        self._train = DecodedMasks(data.train, network.classes, (lambda _: recipe.image_size) if whole else size_of)
        self._val = DecodedMasks(data.val, network.classes, size_of) if data.task.kind == "semantic" else None
        self._normalise = Normalisation(IMAGENET_MEAN, IMAGENET_STD, device)

    def load(self, chosen: Chosen) -> MaskBatch:
        """Return images stacked at their common size, and the layers of their masks padded to it."""
        pairs, on_gpu = self._train.batch(chosen, self._changes.by_loader), self._device.type == "cuda"
        images = [image for image, _ in pairs]
        size, later = common_size(images), self._changes.drawn([image.shape[:2] for image in images], chosen.seeds)
        padded = [layers.padded(size) for _, layers in pairs]
        maps = [one.pin_memory() if on_gpu else one for one, _ in padded]
        return stack_images(images, IMAGENET_MEAN, pin=on_gpu), maps, [places for _, places in padded], later

    def changed(self, batch: MaskBatch) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return pixels, masks, bool (N, H, W), and their classes, with the changes that were left to the device."""
        pixels, maps, places, later = batch
        self._changes.make(later, pixels, maps)
        masks, numbers = zip(*map(masks_in, maps, places), strict=True)
        return pixels, masks, numbers

    def loss(self, module: nn.Module, batch: MaskBatch) -> Tensor:
        """Return the network's own loss, at the size of the padded input."""
        assert isinstance(module, MaskClassifier | BoxedMasks)
        pixels, masks, numbers = self.changed(batch)
        return module.loss(self._input(pixels), [self.network.padded(mask.float()) for mask in masks], numbers)

    def _input(self, pixels: Tensor) -> Tensor:
        return self.network.padded(self._normalise(pixels, channels_last=self._recipe.channels_last))

    @torch.inference_mode()
    def validate(self, module: nn.Module) -> dict[str, float] | None:
        """`val_mean_iou` of label maps at the training size: mean over classes with union > 0."""
        split = self._val
        if split is None or not len(split):
            return None
        classes = len(self.network.classes)
        counts = np.zeros(classes**2, dtype=np.int64)
        for index in range(len(split)):
            image, layers = split[index]
            target = np.full(image.shape[:2], IGNORE_LABEL, dtype=np.int64)
            for layer, numbers in zip(layers.maps, layers.numbers, strict=True):
                known = layer != IGNORE_LABEL
                target[known] = np.array(numbers, dtype=np.int64)[layer[known]]
            labels = self._label_map(module, image)
            known = target != IGNORE_LABEL
            counts += np.bincount(target[known] * classes + labels[known], minlength=classes**2)
        score = mean_iou(torch.from_numpy(counts.reshape(classes, classes)))
        return {} if score is None else {"val_mean_iou": score}

    def _label_map(self, module: nn.Module, image: np.ndarray) -> np.ndarray:
        size = Size(*image.shape[:2])
        pixels = self._input(stack_images([image], IMAGENET_MEAN).to(self._device))
        with devices.autocast(self._device, self._recipe.precision):
            found: ClassifiedMasks = module(pixels)
        padded = Size(*pixels.shape[-2:])
        masks = at_original_size(found.masks[0], padded=padded, content=size, size=size)
        return label_map(class_scores(ClassifiedMasks(found.classes[0], masks))).cpu().numpy()
