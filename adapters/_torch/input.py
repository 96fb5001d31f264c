"""What a network was trained to see: the preprocessing of its weights, as a model config may state it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from adapters._torch.options import Channels, InputOptions


@dataclass(frozen=True)
class InputContract:
    """The module sees (rgb / 255 - mean) / std, in the order of `channels`.

    Attributes:
        mean, std: R, G, B, in 0-1 units; of images with other channels, one number each.
        channels: Order that the module sees.
        said_by: Where this comes from.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Channels = "rgb"
    said_by: str = "the network's own"

    def changed(self, options: InputOptions | None) -> InputContract:
        """Return the contract with what a model config says in its place."""
        if options is None:
            return self
        return InputContract(
            mean=self.mean if options.mean is None else _divided(options.mean, options.scale),
            std=self.std if options.std is None else _divided(options.std, options.scale),
            channels=options.channels or self.channels,
            said_by="the option input",
        )

    def as_json(self) -> dict[str, JsonValue]:
        """Return what stands in records."""
        return {"mean": list(self.mean), "std": list(self.std), "channels": self.channels, "said_by": self.said_by}


def contract_in(said: Mapping[str, Any] | None) -> InputContract | None:
    """Return what a weight file says of its input, as `InputContract.as_json` wrote it; None if it says nothing."""
    try:
        read = InputOptions.model_validate({k: v for k, v in (said or {}).items() if k in ("mean", "std", "channels")})
    except ValidationError:
        return None
    if read.mean is None or read.std is None:
        return None
    return InputContract(read.mean, read.std, read.channels or "rgb", "the weight file")


def contract_of_processor(said: Mapping[str, Any]) -> InputContract | None:
    """Return what a `preprocessor_config.json` of transformers says of colours; None if it says nothing.

    >>> contract_of_processor({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}).mean
    (0.5, 0.5, 0.5)
    """
    mean, std = said.get("image_mean"), said.get("image_std")
    if said.get("do_normalize") is False:
        mean, std = [0.0] * 3, [1.0] * 3
    if not (_are_three(mean) and _are_three(std)):
        return None
    factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    scale = 255 * float(factor)  # what a byte of 255 is before the mean is subtracted
    return InputContract(_divided(mean, scale), _divided(std, scale), "rgb", "preprocessor_config.json")


def _are_three(values: object) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(isinstance(v, int | float) for v in values)


def _divided(values: Any, scale: float) -> tuple[float, ...]:
    r, g, b = (float(value) / scale for value in values)
    return r, g, b
