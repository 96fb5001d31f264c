"""Gives Mask R-CNN what it learns from, for `adapters._torch.training.loop`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNN

from adapters._torch import device as devices
from adapters._torch.training.augment import DeviceAugmentation
from adapters._torch.training.loop import Trainee, train
from adapters._torch.training.order import Chosen
from adapters._torch.training.recipe import open_training
from adapters.torchvision.ground_truth import DecodedInstances, Example, still_seen
from adapters.torchvision.mask_rcnn import MaskRCNNNetwork
from adapters.torchvision.options import MaskRCNNOptions
from adapters.torchvision.stages import Fields, detections, instances, losses, network_input
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import Unsupported
from bench.records import Recipe, Size
from bench.records.predictions import Instances

InstanceBatch = tuple[list[Tensor], list[Fields], DeviceAugmentation | None]
"""Images, each uint8 (H, W, 3), their ground truth, and what the device is to change of both."""


def fit(
    network: MaskRCNNNetwork,
    options: MaskRCNNOptions,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    progress: Progress,
) -> TrainingResult:
    """Train Mask R-CNN in place by the sum of its own losses, as `adapters._torch.training.loop.train`.

    Raises:
        Unsupported: If several devices are asked for; for the rest as `open_training`.
    """
    if recipe.devices > 1:
        raise Unsupported("Mask R-CNN trains on one device here; leave 'devices' out of the recipe")
    device = open_training(data, recipe, out)
    not_honoured = {}
    if recipe.loss != "cross_entropy":
        not_honoured["loss"] = "Mask R-CNN brings its own: of proposals, boxes, classes and masks"
    if recipe.clip_gradient_norm is None:
        recipe = recipe.model_copy(update={"clip_gradient_norm": options.clip_gradients})
    trainee = InstanceTrainee(network, options, data, recipe, device)
    return train(trainee, recipe, out, progress, device, not_honoured=not_honoured)


class InstanceTrainee(Trainee):
    """A `Trainee` of instances: the weights with the highest `val_mask_ap50` are the best."""

    better_by = ("val_mask_ap50",)
    network: MaskRCNNNetwork

    def __init__(
        self,
        network: MaskRCNNNetwork,
        options: MaskRCNNOptions,
        data: TrainingData,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        red, green, blue = network.module.transform.image_mean
        super().__init__(network, data, recipe, device, (red, green, blue))
        self._resize = recipe.image_size is None and options.short_edge is not None
        self._train = DecodedInstances(data.train, network.things, recipe.image_size)
        self._val = DecodedInstances(data.val, network.things, recipe.image_size)

    def load(self, chosen: Chosen) -> InstanceBatch:
        """Return images of their own sizes, with their ground truth."""
        examples = self._train.batch(chosen, self._changes.by_loader)
        later = self._changes.drawn([example.image.shape[:2] for example in examples], chosen.seeds)
        fields = [example.fields for example in examples]
        if later is not None:  # masks are changed in place, and may be those that the split keeps
            fields = [{**one, "masks": one["masks"].clone()} for one in fields]
        return [torch.from_numpy(np.array(example.image, order="C")) for example in examples], fields, later

    def changed(self, batch: InstanceBatch) -> tuple[list[Tensor], list[Fields]]:
        """Return images and ground truth of a batch with the changes that were left to the device."""
        pixels, fields, later = batch
        if later is not None:
            self._changes.make(later, pixels, [one["masks"] for one in fields])
            fields = [still_seen(one) for one in fields]
        return pixels, fields

    def loss(self, module: nn.Module, batch: InstanceBatch) -> Tensor:
        """Return the sum of the network's losses at the training size."""
        assert isinstance(module, MaskRCNN)
        pixels, fields = self.changed(batch)
        planes = [image.permute(2, 0, 1).float() / 255 for image in pixels]
        images, ground_truths = network_input(module, planes, fields, resize=self._resize)
        assert ground_truths is not None  # as many as were given
        return torch.stack(list(losses(module, images, ground_truths).values())).sum()

    @torch.inference_mode()
    def validate(self, module: nn.Module) -> dict[str, float] | None:
        """`val_mask_ap50` at the training size."""
        if not len(self._val):
            return None
        examples = [self._val[index] for index in range(len(self._val))]
        ap = mask_ap50([self._ground_truth(one) for one in examples], [self._found(module, one) for one in examples])
        return {} if ap is None else {"val_mask_ap50": ap}

    def _found(self, module: nn.Module, example: Example) -> Instances:
        assert isinstance(module, MaskRCNN)
        pixels = example.pixels.to(self._device).float() / 255
        with devices.autocast(self._device, self._recipe.precision):
            images, _ = network_input(module, [pixels], resize=self._resize)
            found = detections(module, images)
        size = Size(*example.image.shape[:2])
        return instances(module, found, images.image_sizes, [size], self.network.things)[0]

    def _ground_truth(self, example: Example) -> Instances:
        class_ids = self.network.things[example.labels - 1]
        return Instances.found(example.masks.astype(np.bool_), class_ids, np.ones(len(class_ids)))


IOU = 0.5
RECALLS = np.linspace(0, 1, 101)
"""This says where COCO reads the precision."""


def mask_ap50(ground_truths: Sequence[Instances], found: Sequence[Instances]) -> float | None:
    """Return COCO's average precision of masks at IoU 0.5, 0-1; None if nothing is to be found.

    It chooses among the weights of one training; the scores of a run come from the harness.

    The mean over classes with a ground truth of the precision, made monotone and read at 101 recalls.
    Unlike COCO's own evaluation, ground truth that are crowds are left out rather than ignored.
    """
    classes = {int(c) for ground_truth in ground_truths for c in ground_truth.class_ids[~ground_truth.crowd]}
    if not classes:
        return None
    return float(np.mean([_average_precision(ground_truths, found, class_id) for class_id in sorted(classes)]))


def _match(
    ground_truth: Instances, found: Instances, class_id: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Give each prediction, surest first, the free ground truth it overlaps most, if that is by at least `IOU`.

    Returns:
        Scores, float64, (N,); which have a ground truth of their own, bool, (N,); the number of ground truths.
    """
    ours = found.class_ids == class_id
    order = np.argsort(-found.scores[ours], kind="stable")
    masks = found.masks[ours][order]
    targets = ground_truth.masks[(ground_truth.class_ids == class_id) & ~ground_truth.crowd]
    overlaps = _ious(masks, targets)
    free, right = np.ones(len(targets), dtype=np.bool_), np.zeros(len(masks), dtype=np.bool_)
    for index, row in enumerate(overlaps):
        candidates = np.where(free, row, -1.0)
        if len(candidates) and candidates.max() >= IOU:
            free[candidates.argmax()] = False
            right[index] = True
    return found.scores[ours][order], right, len(targets)


def _ious(masks: NDArray[np.bool_], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU of every mask with every target, (N, M)."""
    pixels = targets.shape[1] * targets.shape[2]
    rows = masks.reshape(len(masks), pixels).astype(np.float32)
    columns = targets.reshape(len(targets), pixels).astype(np.float32)
    inter = (rows @ columns.T).astype(np.float64)
    union = rows.sum(axis=1)[:, None] + columns.sum(axis=1)[None, :] - inter
    ious: NDArray[np.float64] = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return ious


def _average_precision(ground_truths: Sequence[Instances], found: Sequence[Instances], class_id: int) -> float:
    matched = [_match(t, f, class_id) for t, f in zip(ground_truths, found, strict=True)]
    scores, matches, counts = zip(*matched, strict=True)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.concatenate(matches)[order].cumsum()
    recall = right / sum(counts)
    precision = right / np.arange(1, len(right) + 1)
    # The best precision at this recall or any higher one; 0 beyond the highest recall.
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(recall, RECALLS, side="left")].mean())
