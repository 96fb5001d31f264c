"""The U-Net behind the common contract: its options, and how a model config becomes a network."""

from __future__ import annotations

import re
from functools import partial

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch.network import SemanticNetwork
from adapters._torch.options import OUTSIDE_THE_NETWORK, read_options
from adapters._torch.semantic import SemanticAdapter
from adapters.unet.model import UNet
from adapters.unet.options import UNetOptions
from bench.errors import BenchError
from bench.records import ModelSpec, TaskSpec


class Adapter(SemanticAdapter):
    """All of the contract is shared with the other torch adapters; only the network is ours."""

    takes_bands = True

    def __init__(self) -> None:
        super().__init__(make_unet)


def make_unet(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the U-Net of a model config for a task, with fresh weights.

    Raises:
        BenchError: If an option is wrong.
        Unsupported: If the head cannot tell the task's classes apart.
    """
    options = read_options(UNetOptions, model)
    if options.min_area is not None and model.task == "semantic":
        raise BenchError(f"{model.label}: option 'min_area' belongs to model configs for instances and panoptic maps")
    head = options.for_task(task)
    unet = UNet(
        in_channels=options.in_channels if task.channels == 3 else task.channels,
        out_channels=head.channels,
        depth=options.depth,
        base_width=options.base_width,
        down=options.down,
        up=options.up,
        norm=options.norm,
        bias=options.bias,
        skip=options.skip,
        attention=options.attention,
    )
    # These read the logits; weights trained with one serve any other.
    architecture: dict[str, JsonValue] = {
        "network": "unet",
        **options.model_dump(exclude={"min_area", "tensor_names", *OUTSIDE_THE_NETWORK}),
    }
    # Weight files of before these options have neither.
    usual: dict[str, JsonValue] = {"attention": "none", "skip": "first"}
    architecture = {name: value for name, value in architecture.items() if (name, value) not in usual.items()}
    if task.channels != 3:
        architecture["in_channels"] = task.channels
    return SemanticNetwork(
        module=unet if task.channels != 3 or options.in_channels == 3 else nn.Sequential(Luma(), unet),
        head=head,
        architecture=architecture,
        class_names=tuple(c.name for c in task.classes),
        min_area=options.min_area or 1,
        translate=partial(_renamed, options.tensor_names) if options.tensor_names else None,
    )


def _renamed(patterns: dict[str, str], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of another implementation under the names of ours; names that no pattern fits stay."""
    return {_renamed_one(patterns, name): tensor for name, tensor in tensors.items()}


def _renamed_one(patterns: dict[str, str], name: str) -> str:
    for pattern, replacement in patterns.items():
        renamed, times = re.subn(f"^(?:{pattern})", replacement, name)
        if times:
            return renamed
    return name


class Luma(nn.Module):
    """Weighted sum of R, G and B (ITU-R BT.601): (B, 3, H, W) to (B, 1, H, W)."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        # On the device with the network: a copy in each pass would wait, and could not be recorded as a CUDA graph.
        self.register_buffer("weights", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the luma; the weights sum to 1, so that normalised input gives normalised luma."""
        return (image * self.weights.to(image.dtype)).sum(dim=1, keepdim=True)
