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
    "fcn_resnet50": _semantic,
    "fcn_resnet101": _semantic,
    "deeplabv3_resnet50": _semantic,
    "deeplabv3_resnet101": _semantic,
    "deeplabv3_mobilenet_v3_large": _semantic,
    "lraspp_mobilenet_v3_large": _semantic,
    "maskrcnn_resnet50_fpn": _mask_rcnn,
    "maskrcnn_resnet50_fpn_v2": _mask_rcnn,
    "maskrcnn_small": _mask_rcnn,
}
"""A model config's option `network` -> what follows the contract for it."""


class Adapter(ForwardingAdapter):
    """torchvision's networks, chosen by the model config's option `network`."""

    def __init__(self) -> None:
        super().__init__("network", NETWORKS)
