"""MONAI's two-dimensional networks behind the common contract."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.swin_unetr import SwinUNETR
from torch import nn

from adapters._torch.network import SemanticNetwork, bands_of
from adapters._torch.options import OUTSIDE_THE_NETWORK, read_options
from adapters._torch.padding import PadsToMultiple
from adapters._torch.semantic import SemanticAdapter
from adapters.monai.options import MonaiOptions
from bench.errors import BenchError, did_you_mean, in_one_line
from bench.records import ModelSpec, TaskSpec


@dataclass(frozen=True)
class Family:
    """A kind of network.

    Attributes:
        network: The library's class.
        coarsest: Function from all arguments of its constructor to the side of a cell of its coarsest grid, pixels of
            the input.
        backbone: Beginnings of the names of its backbone's parameters; none where no part is one.
    """

    network: Any
    coarsest: Callable[[dict[str, Any]], int]
    backbone: tuple[str, ...] = ()


def _of_strides(arguments: dict[str, Any]) -> int:
    return math.prod(max(stride) if isinstance(stride, list | tuple) else stride for stride in arguments["strides"])


FAMILIES = {
    "attention_unet": Family(AttentionUnet, _of_strides),
    "segresnet": Family(SegResNet, lambda arguments: 2 ** (len(arguments["blocks_down"]) - 1)),
    "swin_unetr": Family(SwinUNETR, lambda _: 32, ("module.swinViT.",)),
    "dynunet": Family(DynUNet, _of_strides),
}
"""A model config's option `network` -> what is built."""

INSTEAD = {
    "spatial_dims": "images are two-dimensional here",
    "in_channels": "their number is the data set's",
    "out_channels": "their number is the task's",
    "deep_supervision": "its further outputs would be read by a loss that is not the recipe's",
    "act_final": "the harness applies it: set head: sigmoid or head: softmax",
}
"""Arguments of the library's constructors that are set elsewhere -> where."""


class Adapter(SemanticAdapter):
    """All of the contract is shared with the other torch adapters; only the network is the library's."""

    takes_bands = True

    def __init__(self) -> None:
        super().__init__(make_network, packages=["monai"])


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the network of a model config for a task, with fresh weights.

    Raises:
        BenchError: If an option is wrong.
        Unsupported: If the head cannot tell the task's classes apart.
    """
    options = read_options(MonaiOptions, model)
    head = options.for_task(task)
    family = FAMILIES[options.network]
    module, coarsest = _build(family, options, model.label, channels=task.channels, classes=head.channels)
    return SemanticNetwork(
        # The library's instance norm takes no grid of a single cell.
        module=PadsToMultiple(module, coarsest, cells=2),
        head=head,
        architecture={
            "network": f"monai {options.network}",
            **bands_of(task),
            **options.model_dump(exclude={"network", "threshold", *OUTSIDE_THE_NETWORK}),
        },
        class_names=tuple(spec.name for spec in task.classes),
        backbone=family.backbone,
    )


def _build(family: Family, options: MonaiOptions, label: str, *, channels: int, classes: int) -> tuple[nn.Module, int]:
    """The network, and the pixels of a cell of its coarsest grid."""
    signature = inspect.signature(family.network).parameters
    fixed = {"spatial_dims": 2, "in_channels": channels, "out_channels": classes}
    known = sorted(set(signature) - INSTEAD.keys())
    for name in options.arguments:
        if name in INSTEAD:
            raise BenchError(f"{label}: option 'arguments': {name!r} is not set here; {INSTEAD[name]}")
        if name not in known:
            raise BenchError(
                f"{label}: option 'arguments': {options.network} has no {name!r}.{did_you_mean(name, known)}"
            )
    defaults = {name: one.default for name, one in signature.items() if one.default is not inspect.Parameter.empty}
    arguments: dict[str, Any] = {**options.arguments, **fixed}
    try:
        module: nn.Module = family.network(**arguments)
        return module, family.coarsest({**defaults, **arguments})
    except (TypeError, ValueError, KeyError, IndexError, AssertionError, RuntimeError) as error:
        reason = in_one_line(error, 200)
        raise BenchError(f"{label}: option 'arguments': MONAI cannot build {options.network}: {reason}") from None
