"""Hugging Face transformers behind the common contract: networks that label pixels, and those that classify masks."""

from __future__ import annotations

from collections.abc import Callable

from adapters._torch.forwarding import ForwardingAdapter
from adapters._torch.semantic import SemanticAdapter
from bench.adapter import BaseAdapter


def _segformer() -> BaseAdapter:
    from adapters.transformers.segformer import make_network

    return SemanticAdapter(make_network, packages=["transformers"], takes_bands=True)


def _pixels() -> BaseAdapter:
    from adapters.transformers.pixels import make_network

    return SemanticAdapter(make_network, packages=["transformers"])


def _clipseg() -> BaseAdapter:
    from adapters.transformers.clipseg import make_network

    return SemanticAdapter(make_network, packages=["transformers"])


def _universal() -> BaseAdapter:
    from adapters.transformers.universal import UniversalAdapter

    return UniversalAdapter()


ARCHITECTURES: dict[str, Callable[[], BaseAdapter]] = {
    "segformer": _segformer,
    "upernet": _pixels,
    "beit": _pixels,
    "data2vec": _pixels,
    "dpt": _pixels,
    "mobilevit": _pixels,
    "clipseg": _clipseg,
    "mask2former": _universal,
    "maskformer": _universal,
    "oneformer": _universal,
    "eomt": _universal,
    "eomt_dinov3": _universal,
    "rf_detr": _universal,
}
"""A model config's option `architecture`, `segformer` where it has none -> what follows the contract for it."""


class Adapter(ForwardingAdapter):
    """The networks of transformers, chosen by the model config's option `architecture`."""

    def __init__(self) -> None:
        super().__init__("architecture", ARCHITECTURES, default="segformer")
