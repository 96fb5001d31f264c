"""Holds what the losses share: their type, and ground truth and probability of the labelled pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from adapters._torch.network import Head
from bench.records import IGNORE_LABEL

Loss: TypeAlias = Callable[[Tensor, Tensor, Head], Tensor]
"""(logits (B, C, H, W), labels (B, H, W) integer, head) -> scalar, float32."""


def probabilities(logits: Tensor, head: Head) -> Tensor:
    """Return class probabilities, float32, (B, C, H, W): of all classes, or of the foreground alone."""
    return torch.sigmoid(logits.float()) if head.threshold is not None else torch.softmax(logits.float(), dim=1)


def one_hot(labels: Tensor, head: Head) -> Tensor:
    """Return whether a pixel is of the class of a channel, float32, (B, C, H, W); 0 where it is ignored."""
    if head.threshold is not None:
        return (labels == 1).unsqueeze(1).float()
    ids = torch.arange(head.classes, device=labels.device).view(1, -1, 1, 1)
    return (labels.unsqueeze(1) == ids).float()


def labelled(labels: Tensor) -> Tensor:
    """Return which pixels count, bool, (B, 1, H, W)."""
    return (labels != IGNORE_LABEL).unsqueeze(1)
