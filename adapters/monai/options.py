"""Options of MONAI's model configs, without the library."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from adapters._torch.options import HeadOptions, option_errors
from bench.records import ModelSpec
from bench.records.abilities import NO_BACKBONE, Abilities


class MonaiOptions(HeadOptions):
    """Options that a model config or a suite may set.

    Attributes:
        network: Name of one of the library's networks.
        arguments: Arguments of its constructor, by the library's own names, for example `{channels: [32, 64], strides:
            [2]}`.
    """

    network: Literal["attention_unet", "segresnet", "swin_unetr", "dynunet"]
    arguments: dict[str, JsonValue] = {}


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(MonaiOptions, model)


def abilities(model: ModelSpec) -> Abilities:
    return Abilities(untrainable={} if model.options.get("network") == "swin_unetr" else NO_BACKBONE)
