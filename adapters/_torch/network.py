"""A semantic network with all that is needed to feed it and to read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch.input import InputContract
from adapters._torch.matching import LoadedWeights
from bench.errors import BenchError, Unsupported
from bench.records import IGNORE_LABEL, TaskSpec, background_class

Gives: TypeAlias = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class Head:
    """State how outputs name classes.

    Attributes:
        classes: K, number of classes of the task.
        threshold: None: softmax over K channels, the highest wins (the lowest id on a tie).
            A probability: one channel with a sigmoid; class 1 where it is above the threshold.
        thresholds: Thresholds of a sigmoid for each of several channels; None for the other two heads. Of the classes
            above their own threshold the most probable wins; where none is, `otherwise`.
        ids: Class id of each of these channels.
        otherwise: Class id where no channel is above its threshold.
        gives: Kind of output: `logits` where the network ends before its activation, `probabilities` behind it.
    """

    classes: int
    threshold: float | None = None
    thresholds: tuple[float, ...] | None = None
    ids: tuple[int, ...] = ()
    otherwise: int = IGNORE_LABEL
    gives: Gives = "logits"

    @property
    def channels(self) -> int:
        """Channels of the outputs."""
        if self.thresholds is not None:
            return len(self.thresholds)
        return self.classes if self.threshold is None else 1

    def names_of(self, class_names: Sequence[str]) -> list[str]:
        """Return the class of each channel, from the names of the task's classes."""
        if self.threshold is not None:
            return [class_names[1]]
        return [class_names[i] for i in (range(self.classes) if self.thresholds is None else self.ids)]

    @property
    def is_sigmoid(self) -> bool:
        """Return whether each channel is a probability of its own."""
        return self.threshold is not None or self.thresholds is not None

    @property
    def rule(self) -> str:
        """Return how the outputs name classes, in a sentence."""
        behind = "" if self.gives == "logits" else "; the network ends with its activation"
        if self.threshold is not None:
            return f"one sigmoid: class 1 above {self.threshold:g}{behind}"
        if self.thresholds is None:
            return f"softmax over {self.classes} channels: the highest wins{behind}"
        bars = ", ".join(f"{bar:g}" for bar in dict.fromkeys(self.thresholds))
        none = "void" if self.otherwise == IGNORE_LABEL else "the background"
        return (
            f"a sigmoid for each of {self.channels} classes: of those above their threshold ({bars}) the most probable "
            f"wins, where none is, {none}{behind}"
        )

    def labels(self, logits: Tensor) -> Tensor:
        """Return class ids, uint8, shape (B, H, W), of logits of shape (B, C, H, W), on their device."""
        if self.threshold is not None:
            return (logits[:, 0].float() > self._bar(self.threshold)).to(torch.uint8)
        if self.thresholds is not None:
            return self._surest(logits.float(), self.thresholds)
        if logits.device.type == "cpu":
            return torch.from_numpy(_highest(logits.float().contiguous().numpy()))
        return logits.argmax(dim=1).to(torch.uint8)

    def probability(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return each pixel's probability of its class, float32, shape (B, H, W), on their device.

        Args:
            logits: (B, C, H, W).
            labels: Class ids, uint8, (B, H, W).
        """
        values = logits.float()
        if self.threshold is not None:
            of_class_one = values[:, 0] if self.gives == "probabilities" else values[:, 0].sigmoid()
            return torch.where(labels == 1, of_class_one, 1 - of_class_one)
        if self.thresholds is not None:
            probabilities = values if self.gives == "probabilities" else values.sigmoid()
            channels = torch.full((256,), -1, device=values.device)
            channels[list(self.ids)] = torch.arange(self.channels, device=values.device)
            own = channels[labels.long()]
            named = probabilities.gather(1, own.clamp(min=0)[:, None])[:, 0]
            return torch.where(own >= 0, named, 1 - probabilities.max(dim=1).values)
        probabilities = values if self.gives == "probabilities" else values.softmax(dim=1)
        return probabilities.gather(1, labels[:, None].long())[:, 0]

    def class_probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of every class of the task, float32, shape (B, K, H, W), on their device.

        Of channels with a sigmoid each a class without one, the background, has what the most probable one leaves.
        """
        values = logits.float()
        if not self.is_sigmoid:
            return values if self.gives == "probabilities" else values.softmax(dim=1)
        each = values if self.gives == "probabilities" else values.sigmoid()
        if self.threshold is not None:
            return torch.cat([1 - each, each], dim=1)
        found = each.new_zeros(len(each), self.classes, *each.shape[2:])
        found[:, list(self.ids)] = each
        if self.otherwise < self.classes and self.otherwise not in self.ids:
            found[:, self.otherwise] = 1 - each.max(dim=1).values
        return found

    def _bar(self, threshold: float) -> float:
        return threshold if self.gives == "probabilities" else math.log(threshold / (1 - threshold))

    def _surest(self, values: Tensor, thresholds: tuple[float, ...]) -> Tensor:
        bars = torch.tensor([self._bar(one) for one in thresholds], device=values.device).view(1, -1, 1, 1)
        above = values.masked_fill(values <= bars, float("-inf"))
        highest, channel = above.max(dim=1)
        ids = torch.tensor(self.ids, device=values.device, dtype=torch.uint8)
        return torch.where(highest > float("-inf"), ids[channel], ids.new_tensor(self.otherwise))


def head_of(
    kind: str,
    threshold: float | tuple[float, ...] | None,
    task: TaskSpec,
    *,
    background_output: bool = False,
    gives: Gives = "logits",
) -> Head:
    """Return the head called `softmax`, `sigmoid` or `multilabel` for a task.

    Args:
        threshold: Threshold of a sigmoid; of several one for all, or one for each of the classes that have an output.
        background_output: True if `multilabel` has an output for the background too.
        gives: Kind of output: `logits` where the network ends before its activation, `probabilities` behind it.

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
        return Head(classes, gives=gives)
    if kind == "multilabel":
        return _multilabel(threshold, task, background_output=background_output, gives=gives)
    if classes != 2:
        raise Unsupported(f"a sigmoid head tells 2 classes apart; the task has {classes}. Use head: softmax")
    bar = threshold[0] if isinstance(threshold, tuple) and len(threshold) == 1 else threshold
    if isinstance(bar, tuple):
        raise BenchError(f"a sigmoid head has one threshold, not {len(bar)}; several are of head: multilabel")
    return Head(classes, threshold=0.5 if bar is None else bar, gives=gives)


def _multilabel(
    threshold: float | tuple[float, ...] | None, task: TaskSpec, *, background_output: bool, gives: Gives
) -> Head:
    nothing = background_class(task.classes)
    ids = tuple(i for i in range(len(task.classes)) if background_output or i != nothing)
    given = (0.5,) if threshold is None else threshold if isinstance(threshold, tuple) else (threshold,)
    thresholds = given * len(ids) if len(given) == 1 else given
    if len(thresholds) != len(ids):
        names = ", ".join(task.classes[i].name for i in ids)
        raise BenchError(
            f"option 'threshold' has {len(thresholds)} numbers and {len(ids)} classes have an output ({names}); give "
            "one for each, or one for all"
        )
    otherwise = IGNORE_LABEL if nothing is None else nothing
    return Head(len(task.classes), thresholds=thresholds, ids=ids, otherwise=otherwise, gives=gives)


def bands_of(task: TaskSpec) -> dict[str, JsonValue]:
    """Return what an architecture says of its input: nothing of RGB, the channels of all else."""
    return {} if task.channels == 3 else {"channels": task.channels}


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
        architecture: Everything that decides the shapes and the meaning of the weights; stands in
            weight files, and a file with another architecture is refused.
        class_names: Class names of the task, by id.
        input: Its preprocessing: that of its weights.
        left_out: Beginnings of tensors' names in files that are known to be no part of the module.
        translate: Turns names of older or published files into the library's; see `adapters._torch.weights`.
        loaded: Account of what was read when the module was made; None where nothing was.
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
        """Return the mean of each channel of the input, in 0-1 units."""
        return self.input.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Return the standard deviation of each channel of the input, in 0-1 units."""
        return self.input.std
