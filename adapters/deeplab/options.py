"""Options of DeepLab's model configs, without torch."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, field_validator

from adapters._torch.options import HeadOptions, option_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities

Depth: TypeAlias = Literal[18, 34, 50, 101]
OutputStride: TypeAlias = Literal[8, 16, 32]


class DeepLabOptions(HeadOptions):
    """Hold what a model config or a suite may set; see `adapters.deeplab.model.DeepLabV3Plus`.

    Attributes:
        depth: Layers of the ResNet: 18, 34, 50 or 101.
        output_stride: Pixels of the input per cell of the encoder's output: 8, 16 or 32.
        base_width: Channels of the ResNet's first stage.
        aspp_dilations: Dilations of the pyramid's 3 × 3 convolutions. The published 6, 12 and 18 belong to output
            stride 16 and large images, twice as much to 8. Where a dilation exceeds the encoder's output only the
            middle weight of its convolution is at work, so small images want small ones.
        aspp_width, low_level_width, decoder_width: Channels of the parts.
        dropout: Share of the pyramid's output that training leaves out.
        pretrained: Pretrained weights of the ResNet: there are none; every network starts from drawn weights.
    """

    depth: Depth = 50
    output_stride: OutputStride = 16
    base_width: int = Field(default=64, ge=1)
    aspp_dilations: list[int] = Field(default=[6, 12, 18], min_length=1)
    aspp_width: int = Field(default=256, ge=1)
    low_level_width: int = Field(default=48, ge=1)
    decoder_width: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    pretrained: Literal["none"] = "none"

    @field_validator("aspp_dilations")
    @classmethod
    def _dilations_are_positive(cls, dilations: list[int]) -> list[int]:
        if min(dilations) < 1:
            raise ValueError("each dilation must be at least 1")
        return dilations


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(DeepLabOptions, model)


def abilities(model: ModelSpec) -> Abilities:  # noqa: ARG001
    return Abilities()
