"""Options of smp's model configs, without the library."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from adapters._torch.options import Options, option_mistakes
from bench.records import ModelSpec


class SmpOptions(Options):
    """What a card or a suite may set.

    Attributes:
        decoder: Which of the library's models.
        encoder: Its name for the encoder, for example `resnet34`, `efficientnet-b0`, `mit_b0`, or
            `tu-` with a name of timm's.
        encoder_weights: `imagenet` downloads the encoder's weights; a path takes them from a file of
            the encoder or of a whole classifier with it; None starts from scratch.
        arguments: Further arguments of the library's constructor, for example `{decoder_channels: […]}`.
        head, threshold: As of the U-Net.
    """

    decoder: Literal[
        "unet",
        "unetplusplus",
        "manet",
        "linknet",
        "fpn",
        "pspnet",
        "pan",
        "deeplabv3",
        "deeplabv3plus",
        "upernet",
        "segformer",
        "dpt",
    ]
    encoder: str = "resnet34"
    encoder_weights: str | None = None
    arguments: dict[str, JsonValue] = {}
    head: Literal["softmax", "sigmoid"] = "softmax"
    threshold: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _threshold_needs_a_sigmoid(self) -> SmpOptions:
        if self.threshold is not None and self.head != "sigmoid":
            raise ValueError("option 'threshold' belongs to 'head: sigmoid'; a softmax head takes the likeliest class")
        return self


def mistakes(model: ModelSpec) -> list[str]:
    """What is wrong with a model config's options, a sentence each; imports no framework."""
    return option_mistakes(SmpOptions, model)
