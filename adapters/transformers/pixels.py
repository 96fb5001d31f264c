"""Networks of transformers that label pixels: UperNet, BEiT, Data2Vec, DPT, MobileViT.

A model config names the arguments of transformers' own configuration, or a folder whose `config.json` has them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import JsonValue
from torch import Tensor, nn
from transformers import (
    BeitForSemanticSegmentation,
    Data2VecVisionForSemanticSegmentation,
    DPTForSemanticSegmentation,
    MobileViTForSemanticSegmentation,
    PretrainedConfig,
    UperNetForSemanticSegmentation,
)

from adapters._torch.input import IMAGENET, InputContract
from adapters._torch.network import SemanticNetwork
from adapters._torch.options import read_options
from adapters._torch.padding import PadsToMultiple, PadsToSquare
from adapters.transformers.options import PixelOptions
from adapters.transformers.published import (
    Published,
    load_in_order,
    network_of,
    place_of,
    raised_as_bench_error,
    refuse_other_channels,
)
from bench.errors import BenchError, did_you_mean, in_one_line
from bench.records import ModelSpec, Size, TaskSpec

COARSEST_GRID = 32
"""Pixels of a cell of the coarsest features; inputs are padded to multiples of it."""

HALVES = InputContract((0.5,) * 3, (0.5,) * 3, said_by="transformers' image processor of the network")
BYTES_REVERSED = InputContract(
    (0.0,) * 3, (1.0,) * 3, channels="bgr", said_by="transformers' image processor of the network"
)


@dataclass(frozen=True)
class Family:
    """A kind of network.

    Attributes:
        network: Its class in transformers.
        classifier: Its last convolution.
        backbone: Its part that is made to be pretrained.
        input: Its preprocessing where no folder says another.
        squares: `any` where it takes squares of any multiple, `one` where it takes the size of its configuration;
            None where it takes every shape.
        passed: Arguments of every forward pass.
    """

    network: Any
    classifier: str
    backbone: str
    input: InputContract = IMAGENET
    passed: dict[str, Any] = field(default_factory=dict)
    squares: Literal["any", "one"] | None = None


# BEiT's positions are those of one size; they are stretched to that of the input.
STRETCHED = {"interpolate_pos_encoding": True}

FAMILIES = {
    "upernet": Family(UperNetForSemanticSegmentation, "decode_head.classifier", "backbone"),
    "beit": Family(BeitForSemanticSegmentation, "decode_head.classifier", "beit", HALVES, STRETCHED),
    "data2vec": Family(
        Data2VecVisionForSemanticSegmentation, "decode_head.classifier", "data2vec_vision", HALVES, squares="one"
    ),
    "dpt": Family(DPTForSemanticSegmentation, "head.head.4", "dpt", HALVES, squares="any"),
    "mobilevit": Family(
        MobileViTForSemanticSegmentation, "segmentation_head.classifier.convolution", "mobilevit", BYTES_REVERSED
    ),
}
"""A model config's option `architecture` -> what is built."""

OF_THE_TASK = ("num_labels", "id2label", "label2id", "num_channels")
"""Arguments that the data set decides."""


class PixelLogits(nn.Module):
    """A network of transformers without its output class: logits (B, K, h, w)."""

    def __init__(self, module: nn.Module, passed: dict[str, Any]) -> None:
        super().__init__()
        self.module, self._passed = module, passed

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits at the network's own grid."""
        logits: Tensor = self.module(pixel_values=pixels, **self._passed).logits
        return logits


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the network of a model config for a task.

    Raises:
        BenchError: If an option is wrong or the pretrained weights cannot be had.
        Unsupported: If the task has too few or too many classes.
    """
    options = read_options(PixelOptions, model)
    head = options.for_task(task)
    family = FAMILIES[options.architecture]
    config = read_config(family.network.config_class, options.pretrained, options.arguments, model.label)
    refuse_other_channels(config, task.channels, model.label)
    config.num_labels = head.channels
    if hasattr(config, "use_auxiliary_head"):
        config.use_auxiliary_head = False  # a second head that training alone would read
    names, side = [spec.name for spec in task.classes], _side(config)
    published: Published | None = None
    if options.pretrained is None or model.weights is not None:
        module = _fresh(family, config, model.label)
    else:
        outputs = head.names_of(names)
        published = load_in_order(family.network, family.classifier, options.pretrained, config, model, outputs)
        module = published.module
    _without_inference_tensors(module)
    return network_of(
        family.network,
        config,
        model,
        published,
        module=_padded(PixelLogits(module, family.passed), family, side, model.label),
        head=head,
        architecture={
            "network": options.architecture,
            **options.shape(),
            **({} if options.head == "softmax" else {"head": options.head}),
        },
        class_names=tuple(names),
        input=family.input if family.squares is None else replace(family.input, size=Size(side, side)),
        backbone=(f"module.module.{family.backbone}.",),
        left_out=("auxiliary_head.",),
    )


def _padded(logits: PixelLogits, family: Family, side: int, label: str) -> nn.Module:
    """Return the network for inputs of any shape."""
    if family.squares is None:
        return PadsToMultiple(logits, COARSEST_GRID)
    return PadsToSquare(logits, COARSEST_GRID, label=label, side=side if family.squares == "one" else None)


def _side(config: PretrainedConfig) -> int:
    """Side of the square that positions were learned for; 0 where the configuration has none."""
    side = getattr(config, "image_size", 0)
    return int(max(side) if isinstance(side, list | tuple) else side or 0)


def read_config(cls: Any, pretrained: str | None, arguments: dict[str, JsonValue], label: str) -> PretrainedConfig:
    """Return a configuration of transformers: that of a folder, or one made of a model config's arguments.

    Raises:
        BenchError: If the folder has none or is of another network, or an argument is not known or fits no other.
    """
    if pretrained is not None:
        with raised_as_bench_error(pretrained, label):
            said = PretrainedConfig.get_config_dict(place_of(pretrained))[0].get("model_type", cls.model_type)
            read: PretrainedConfig = cls.from_pretrained(place_of(pretrained))
        if said != cls.model_type:
            raise BenchError(
                f"{label}: option 'pretrained': {pretrained!r} is a {said}, and the model config's architecture a "
                f"{cls.model_type}. Give the one that fits the other"
            )
        return read
    known = sorted({one.name.lstrip("_") for one in dataclasses.fields(cls)} - set(OF_THE_TASK))
    for name in arguments:
        if name in OF_THE_TASK:
            raise BenchError(f"{label}: option 'arguments': {name!r} is not set here; the data set decides it")
        if name not in known:
            raise BenchError(f"{label}: option 'arguments': {cls.__name__} has no {name!r}.{did_you_mean(name, known)}")
    with _as_bench_error(label):
        made: PretrainedConfig = cls(**arguments)
    return made


def _without_inference_tensors(module: nn.Module) -> None:
    """Give a network relative positions of its own for the cache that transformers keeps for all of a process.

    Filled by a prediction, that one holds tensors which no training can use.
    """
    for part in module.modules():
        cached: Any = getattr(part, "generate_relative_position_index", None)
        if cached is not None:
            part.generate_relative_position_index = partial(_relative_positions, cached.__wrapped__)  # type: ignore[assignment]


_POSITIONS: dict[tuple[Callable[..., Tensor], tuple[int, int]], Tensor] = {}
"""Relative positions by what makes them and the grid."""


def _relative_positions(made: Callable[[tuple[int, int]], Tensor], window_size: tuple[int, int]) -> Tensor:
    known = _POSITIONS.get((made, window_size))
    if known is not None:
        return known
    with torch.inference_mode(False):
        found = made(window_size)
    # An export hands out tensors that hold no numbers: kept, they would be those of every later pass.
    if type(found) is Tensor:
        _POSITIONS[made, window_size] = found
    return found


def _fresh(family: Family, config: PretrainedConfig, label: str) -> nn.Module:
    with _as_bench_error(label):
        module: nn.Module = family.network(config)
    return module


_OF_ARGUMENTS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AssertionError,
    AttributeError,
    RuntimeError,
    StrictDataclassError,
)


@contextmanager
def _as_bench_error(label: str) -> Iterator[None]:
    """Turn what transformers raises for arguments that do not fit together into a paragraph."""
    try:
        yield
    except _OF_ARGUMENTS as error:
        reason = in_one_line(error, 200)
        raise BenchError(f"{label}: option 'arguments': transformers cannot build it: {reason}") from None
