"""Options of smp's model configs, without the library."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from adapters._torch.options import HeadOptions, option_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities


class SmpOptions(HeadOptions):
    """Options that a model config or a suite may set.

    Attributes:
        decoder: Name of one of the library's models.
        encoder: Its name for the encoder, for example `resnet34`, `efficientnet-b0`, `mit_b0`, or
            `tu-` with a name of timm's.
        encoder_weights: `imagenet` downloads the encoder's weights; a path takes them from a file of
            the encoder or of a whole classifier with it; None starts from scratch.
        arguments: Further arguments of the library's constructor, for example `{decoder_channels: […]}`.
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


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(SmpOptions, model)


def abilities(model: ModelSpec) -> Abilities:  # noqa: ARG001
    return Abilities()
