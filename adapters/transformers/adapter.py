"""Hugging Face transformers behind the common contract: SegFormer, and mask-classification networks."""

from __future__ import annotations

from collections.abc import Callable

from adapters._torch.forwarding import ForwardingAdapter
from adapters._torch.semantic import SemanticAdapter
from bench.adapter import BaseAdapter


def _segformer() -> BaseAdapter:
    from adapters.transformers.segformer import make_network

    return SemanticAdapter(make_network, packages=["transformers"], takes_bands=True)


def _universal() -> BaseAdapter:
    from adapters.transformers.universal import UniversalAdapter

    return UniversalAdapter()


ARCHITECTURES: dict[str, Callable[[], BaseAdapter]] = {
    "segformer": _segformer,
    "mask2former": _universal,
    "maskformer": _universal,
    "oneformer": _universal,
    "eomt": _universal,
}
"""A model config's option `architecture`, `segformer` where it has none -> what follows the contract for it."""


class Adapter(ForwardingAdapter):
    """The networks of transformers, chosen by the model config's option `architecture`."""

    def __init__(self) -> None:
        super().__init__("architecture", ARCHITECTURES, default="segformer")
