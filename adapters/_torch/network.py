"""A semantic network with all that is needed to feed it and to read it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch.input import InputContract
from adapters._torch.matching import LoadedWeights
from bench.errors import Unsupported
from bench.records import TaskSpec


@dataclass(frozen=True)
class Head:
    """How logits name classes.

    Attributes:
        classes: K, number of classes of the task.
        threshold: None: softmax over K channels, the highest logit wins (the lowest id on a tie).
            A probability: one channel with a sigmoid; class 1 where it is above the threshold.
    """

    classes: int
    threshold: float | None = None

    @property
    def channels(self) -> int:
        """Channels of the logits."""
        return self.classes if self.threshold is None else 1

    def labels(self, logits: Tensor) -> Tensor:
        """Return class ids, uint8, shape (B, H, W), of logits of shape (B, C, H, W), on their device."""
        if self.threshold is not None:
            return (logits[:, 0].float() > _logit(self.threshold)).to(torch.uint8)
        if logits.device.type == "cpu":
            return torch.from_numpy(_highest(logits.float().contiguous().numpy()))
        return logits.argmax(dim=1).to(torch.uint8)

    def probability(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return each pixel's probability of its class, float32, shape (B, H, W), on their device.

        Args:
            logits: (B, C, H, W).
            labels: Class ids, uint8, (B, H, W).
        """
        if self.threshold is not None:
            of_class_one = logits[:, 0].float().sigmoid()
            return torch.where(labels == 1, of_class_one, 1 - of_class_one)
        return logits.float().softmax(dim=1).gather(1, labels[:, None].long())[:, 0]


def head_of(kind: str, threshold: float | None, task: TaskSpec) -> Head:
    """Return the head called `softmax` or `sigmoid` for a task.

    Raises:
        Unsupported: If the head cannot tell the task's classes apart.
    """
    classes = len(task.classes)
    if classes == 1:
        raise Unsupported(
            f"the label space has one class, {task.classes[0].name}, so that every pixel is of it; give the data set "
            "a second one for the rest, such as background"
        )
    if not 2 <= classes <= 255:
        raise Unsupported(f"label maps hold 2 to 255 classes; the task has {classes}")
    if kind == "softmax":
        return Head(classes)
    if classes != 2:
        raise Unsupported(f"a sigmoid head tells 2 classes apart; the task has {classes}. Use head: softmax")
    return Head(classes, threshold=0.5 if threshold is None else threshold)


def bands_of(task: TaskSpec) -> dict[str, JsonValue]:
    """What an architecture says of its input: nothing of RGB, the channels of all else."""
    return {} if task.channels == 3 else {"channels": task.channels}


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _highest(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Arg-max over axis 1 as a running maximum over contiguous planes.

    On a CPU about 30 times faster than `Tensor.argmax(dim=1)`, whose reduction strides over planes.
    """
    best = logits[:, 0].copy()
    labels = np.zeros(best.shape, dtype=np.uint8)
    for channel in range(1, logits.shape[1]):
        plane = logits[:, channel]
        above = (plane > best).view(np.uint8)
        np.maximum(best, plane, out=best)
        # Channels come in rising order, so the higher id is the later winner.
        np.maximum(labels, above * np.uint8(channel), out=labels)
    return labels


UNPUBLISHED = InputContract((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
"""The preprocessing of networks that nobody has published weights of."""


@dataclass(frozen=True)
class SemanticNetwork:
    """A network and how to use it.

    Attributes:
        module: Maps (B, 3, H, W) float to logits (B, `head.channels`, h, w); where (h, w) differs
            from (H, W) the logits are resized bilinearly.
        head: Reads the logits.
        architecture: Everything that decides the shapes and the meaning of the weights; stands in
            weight files, and a file with another architecture is refused.
        class_names: Of the task, by id.
        input: Its preprocessing: that of its weights.
        left_out: Beginnings of tensors' names in files that are known to be no part of the module.
        translate: Turns names of older or published files into the library's; see `adapters._torch.weights`.
        loaded: What was read when the module was made; None where nothing was.
        unfit: Why it must be trained before it may predict: what of its weights is drawn; None if nothing is.
        backbone: Beginnings of the names of the parameters of its backbone, see `adapters._torch.training.backbone`;
            none where no part of it is one.
        min_area: Pixels of the smallest segment or instance that is made of labels; a semantic
            map is what it is.
    """

    module: nn.Module
    head: Head
    architecture: dict[str, JsonValue]
    class_names: tuple[str, ...]
    min_area: int = 1
    input: InputContract = UNPUBLISHED
    left_out: tuple[str, ...] = ()
    translate: Callable[[dict[str, Tensor]], dict[str, Tensor] | None] | None = None
    loaded: LoadedWeights | None = None
    unfit: str | None = None
    backbone: tuple[str, ...] = ()

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel of the input, in 0-1 units."""
        return self.input.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel of the input, in 0-1 units."""
        return self.input.std
