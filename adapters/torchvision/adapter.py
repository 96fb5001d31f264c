"""Networks of torchvision behind the common contract: semantic segmentation, and Mask R-CNN."""

from __future__ import annotations

from collections.abc import Callable

from adapters._torch.forwarding import ForwardingAdapter
from adapters._torch.semantic import SemanticAdapter
from bench.adapter import BaseAdapter


def _semantic() -> BaseAdapter:
    from adapters.torchvision.semantic import make_network

    return SemanticAdapter(make_network, packages=["torchvision"], takes_bands=True)


def _mask_rcnn() -> BaseAdapter:
    from adapters.torchvision.detection import DetectionAdapter

    return DetectionAdapter()


NETWORKS: dict[str, Callable[[], BaseAdapter]] = {
    **dict.fromkeys(("fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101"), _semantic),
    **dict.fromkeys(("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"), _semantic),
    **dict.fromkeys(("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "maskrcnn_small"), _mask_rcnn),
}
"""A model config's option `network` -> what follows the contract for it."""


class Adapter(ForwardingAdapter):
    """torchvision's networks, chosen by the model config's option `network`."""

    def __init__(self) -> None:
        super().__init__("network", NETWORKS)
