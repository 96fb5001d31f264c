"""Loss and, for semantic networks, mean IoU on the validation split, at the training size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from detectron2.utils.events import EventStorage
from torch import nn

from adapters._torch.losses import cross_entropy
from adapters._torch.validation import confusion, mean_iou
from adapters.detectron2.mapper import DecodedExamples, Example
from adapters.detectron2.network import DetectronNetwork
from adapters.detectron2.stages import forward, to_device

SAMPLING_SEED = 0
"""Of the anchors and boxes that the losses of a validation sample."""


def validate(
    network: DetectronNetwork,
    examples: DecodedExamples,
    *,
    batch_size: int,
    device: torch.device,
    channels_last: bool,
) -> dict[str, float]:
    """Return `val_loss`, the mean over images, and for semantic networks `val_mean_iou`.

    `val_mean_iou` is the mean over classes with union > 0, counts pooled over all images; it is
    left out where there is no such class. Training mode and random state are put back. The caller
    chooses the precision.
    """
    modes = {module: module.training for module in network.module.modules()}
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(SAMPLING_SEED)
        if network.kind == "semantic":
            values = _labels(network, examples, batch_size, device, channels_last)
        else:
            values = _losses(network, examples, batch_size)
    for module, training in modes.items():
        module.training = training
    return values


def _batches(examples: DecodedExamples, size: int) -> Iterator[list[Example]]:
    for start in range(0, len(examples), size):
        yield [examples[i] for i in range(start, min(start + size, len(examples)))]


def _labels(
    network: DetectronNetwork, examples: DecodedExamples, batch_size: int, device: torch.device, channels_last: bool
) -> dict[str, float]:
    network.module.eval()
    counts = torch.zeros((network.head.classes,) * 2, dtype=torch.int64, device=device)
    total = torch.zeros((), device=device)
    for batch in _batches(examples, batch_size):
        images = to_device(network, [example.image for example in batch], device, channels_last=channels_last)
        raw = forward(network, images)
        for index, example in enumerate(batch):
            height, width = raw.content[index]
            logits = raw.logits[index : index + 1, :, :height, :width].float()
            labels = torch.from_numpy(example.semantic)[None].to(device)
            total += cross_entropy(logits, labels, network.head)
            counts += confusion(labels, network.head.labels(logits), network.head)
    values = {"val_loss": total.item() / len(examples)}
    score = mean_iou(counts)
    return values if score is None else {**values, "val_mean_iou": score}


def _losses(network: DetectronNetwork, examples: DecodedExamples, batch_size: int) -> dict[str, float]:
    """Detectron2's own losses, which its networks compute in training mode only."""
    network.module.train()
    for module in network.module.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.Dropout):
            module.eval()  # running statistics are used, and stay as they are
    total = 0.0
    with EventStorage():
        for batch in _batches(examples, batch_size):
            losses = network.module([example.as_input(mirrored=False) for example in batch])
            total += sum(loss.item() for loss in losses.values()) * len(batch)
    return {"val_loss": total / len(examples)}
