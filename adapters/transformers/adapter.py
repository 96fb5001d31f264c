"""Hugging Face transformers behind the common contract: networks that label pixels, and those that classify masks."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from adapters._torch.forwarding import ForwardingAdapter
from adapters._torch.semantic import SemanticAdapter
from bench.adapter import BaseAdapter


def _labelling(module: str) -> Callable[[], BaseAdapter]:
    """Return what makes the adapter of networks that label pixels, from the module that makes the network."""

    def made() -> BaseAdapter:
        make_network = importlib.import_module(f"adapters.transformers.{module}").make_network
        return SemanticAdapter(make_network, packages=["transformers"], takes_bands=module == "segformer")

    return made


def _universal() -> BaseAdapter:
    from adapters.transformers.universal import UniversalAdapter

    return UniversalAdapter()


ARCHITECTURES: dict[str, Callable[[], BaseAdapter]] = {
    "segformer": _labelling("segformer"),
    "clipseg": _labelling("clipseg"),
    **dict.fromkeys(("upernet", "beit", "data2vec", "dpt", "mobilevit"), _labelling("pixels")),
    **dict.fromkeys(("mask2former", "maskformer", "oneformer", "eomt", "eomt_dinov3", "rf_detr"), _universal),
}
"""A model config's option `architecture`, `segformer` where it has none -> what follows the contract for it."""


class Adapter(ForwardingAdapter):
    """The networks of transformers, chosen by the model config's option `architecture`."""

    def __init__(self) -> None:
        super().__init__("architecture", ARCHITECTURES, default="segformer")
