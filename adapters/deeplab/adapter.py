"""DeepLabV3+ behind the common contract: its options, and how a card becomes a network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from adapters._torch.images import IMAGENET_MEAN, IMAGENET_STD
from adapters._torch.network import SemanticNetwork, head_of
from adapters._torch.options import HeadOptions, read_options
from adapters._torch.semantic import SemanticAdapter
from adapters.deeplab.model import DeepLabV3Plus, Depth, OutputStride
from bench.records import ModelSpec, TaskSpec


class DeepLabOptions(HeadOptions):
    """What a card or a suite may set; see `adapters.deeplab.model.DeepLabV3Plus`.

    Attributes:
        depth: Layers of the ResNet: 18, 34, 50 or 101.
        output_stride: Pixels of the input per cell of the encoder's output: 8, 16 or 32.
        base_width: Channels of the ResNet's first stage.
        aspp_dilations: Of the pyramid's 3 × 3 convolutions. The published 6, 12 and 18 belong to
            output stride 16 and large images, twice as much to 8. Where a dilation exceeds the
            encoder's output only the middle weight of its convolution is at work, so small images
            want small ones.
        aspp_width, low_level_width, decoder_width: Channels of the parts.
        dropout: Share of the pyramid's output that training leaves out.
        pretrained: Of the ResNet: there are none; every network starts from drawn weights.
        head, threshold: As of the U-Net.
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


class Adapter(SemanticAdapter):
    """All of the contract is shared with the other torch adapters; only the network is ours."""

    def __init__(self) -> None:
        super().__init__(make_deeplab)


def make_deeplab(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the DeepLabV3+ of a card for a task, with fresh weights.

    Raises:
        BenchError: If an option is wrong.
        Unsupported: If the head cannot tell the task's classes apart.
    """
    options = read_options(DeepLabOptions, model)
    head = head_of(options.head, options.threshold, task)
    shape = options.model_dump(exclude={"pretrained", "head", "threshold"})
    return SemanticNetwork(
        module=DeepLabV3Plus(out_channels=head.channels, **shape),
        head=head,
        # Dropout is at work in training only; weights trained with one share serve any other.
        architecture={"network": "deeplabv3plus", **options.model_dump(exclude={"dropout", "pretrained", "threshold"})},
        class_names=tuple(c.name for c in task.classes),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
