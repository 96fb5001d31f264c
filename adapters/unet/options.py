"""Options of the U-Net's model configs, without torch."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from adapters._torch.options import HeadOptions, option_errors
from bench.records import ModelSpec
from bench.records.abilities import NO_BACKBONE, Abilities

Down: TypeAlias = Literal["max_pool", "avg_pool", "strided_conv"]
Up: TypeAlias = Literal["transposed_conv", "bilinear", "nearest"]
Norm: TypeAlias = Literal["batch", "group", "none"]
Skip: TypeAlias = Literal["first", "last"]
Attention: TypeAlias = Literal["none", "gates", "spatial"]


class UNetOptions(HeadOptions):
    """Options that a model config or a suite may set.

    Attributes:
        depth: Number of times the image is halved.
        base_width: Channels of the first level; each further level has twice as many.
        in_channels: 3 for RGB; 1 feeds the luma of the image.
        down, up, norm, bias, skip, attention: Arguments of `adapters.unet.model.UNet`.
        tensor_names: Regular expression -> replacement, for the names of tensors in a weight file of another
            implementation of the same network; tried in order from the start of a name, the first that fits counts.
        min_area: Area, in pixels, of the smallest segment that is made of labels, in model configs for instances and
            panoptic maps; 1 if left out.
    """

    depth: int = Field(default=4, ge=1, le=8)
    base_width: int = Field(default=16, ge=1)
    in_channels: Literal[1, 3] = 3
    down: Down = "max_pool"
    up: Up = "transposed_conv"
    norm: Norm = "batch"
    bias: bool = True
    skip: Skip = "first"
    attention: Attention = "none"
    tensor_names: dict[str, str] = {}
    min_area: int | None = Field(default=None, ge=1)


def usage_errors(model: ModelSpec) -> list[str]:
    found = option_errors(UNetOptions, model)
    if model.task == "semantic" and model.options.get("min_area") is not None:
        found.append(f"{model.label}: option 'min_area' belongs to model configs for instances and panoptic maps")
    return found


def abilities(model: ModelSpec) -> Abilities:  # noqa: ARG001
    return Abilities(untrainable=NO_BACKBONE)
