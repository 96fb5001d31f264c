"""Loss and mean IoU on the validation split, at the training size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from adapters._torch.images import resize_logits
from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.training.batches import DecodedSplit, as_batch
from adapters._torch.training.losses import Loss
from bench.records import IGNORE_LABEL, Size


def validate(
    network: SemanticNetwork,
    split: DecodedSplit,
    loss: Loss,
    *,
    batch_size: int,
    forward: Callable[[Tensor], Tensor],
    device: torch.device,
) -> dict[str, float]:
    """Return `val_loss`, the mean over images, and `val_mean_iou`, with counts pooled over them all.

    `val_mean_iou` is the mean over classes with union > 0 and is left out where there are none.

    Args:
        network: Network with the head and the colour of padding.
        split: Every image is used.
        forward: Maps pixels, uint8 (B, H, W, 3) on the device, to logits, in training's precision; its module is in
            evaluation mode.
    """
    counts = torch.zeros((network.head.classes,) * 2, dtype=torch.int64, device=device)
    total_loss = torch.zeros((), device=device)
    with torch.inference_mode():
        for pixels, labels in _batches(split, batch_size, network.mean):
            pixels, labels = pixels.to(device), labels.to(device)
            logits = resize_logits(forward(pixels), Size(*labels.shape[-2:]))
            total_loss += loss(logits, labels, network.head) * len(labels)
            counts += confusion(labels, network.head.labels(logits), network.head)
    values = {"val_loss": total_loss.item() / len(split)}
    score = mean_iou(counts)
    return values if score is None else {**values, "val_mean_iou": score}


def _batches(split: DecodedSplit, batch_size: int, fill: tuple[float, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(split), batch_size):
        yield as_batch([split[i] for i in range(start, min(start + batch_size, len(split)))], fill)


def confusion(target: Tensor, predicted: Tensor, head: Head) -> Tensor:
    """Count labelled pixels by (true class, predicted class): int64, shape (K, K)."""
    known = target != IGNORE_LABEL
    pairs = target[known].long() * head.classes + predicted[known].long()
    return torch.bincount(pairs, minlength=head.classes**2).view(head.classes, head.classes)


def mean_iou(counts: Tensor) -> float | None:
    """Return the mean over classes with union > 0 of intersection / union; None without such a class."""
    intersection = counts.diagonal()
    union = counts.sum(dim=0) + counts.sum(dim=1) - intersection
    seen = union > 0
    return (intersection[seen].double() / union[seen]).mean().item() if bool(seen.any()) else None
