"""torchvision's semantic-segmentation networks."""

from __future__ import annotations

from typing import Any
from urllib.error import URLError

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torchvision.models import segmentation

from adapters._torch.input import IMAGENET
from adapters._torch.network import SemanticNetwork, bands_of
from adapters._torch.options import read_options
from adapters.torchvision.options import SemanticOptions
from bench.errors import BenchError
from bench.records import ModelSpec, TaskSpec

VOC_CLASSES = 21

PUBLISHED = {"coco_with_voc_labels": "COCO_WITH_VOC_LABELS_V1"}
"""Value of the option `pretrained` -> torchvision's name of the weights."""


class MainOutput(nn.Module):
    """The network without its dictionary: logits (B, K, H, W), brought to input size by the network itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the output called `out`."""
        logits: Tensor = self.module(pixels)["out"]
        return logits


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the network of a model config for a task.

    Raises:
        BenchError: If an option is wrong or weights cannot be had.
    """
    options = read_options(SemanticOptions, model)
    head = options.for_task(task)
    module = _module(options, head.channels, model)
    if task.channels != 3:
        _widen(module, task.channels)
    if options.bn_momentum is not None:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = options.bn_momentum
    architecture: dict[str, JsonValue] = {"network": f"torchvision {options.network}", **bands_of(task)}
    return SemanticNetwork(
        module=MainOutput(module),
        head=head,
        architecture=architecture,
        class_names=tuple(spec.name for spec in task.classes),
        input=IMAGENET,
        backbone=("module.backbone.",),
        left_out=("aux_classifier.",),  # a second head of training that the adapter itself leaves away
    )


def _widen(module: nn.Module, channels: int) -> None:
    """Give the first convolution, which sees RGB, as many channels, by the rule of segmentation_models_pytorch.

    Red, green and blue are taken in turn and scaled by 3 / channels, so that what it learned of them stays of use.
    """
    name, old = next((n, m) for n, m in module.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(old.weight[:, [channel % 3 for channel in range(channels)]] * 3 / channels)
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, new)


def _module(options: SemanticOptions, classes: int, model: ModelSpec) -> nn.Module:
    """Return the network of an option `network` with the weights that the model config asks for."""
    download = model.weights is None  # a path in `weights` replaces all of them
    published = options.pretrained if download else None
    if published is not None and classes != VOC_CLASSES:
        raise BenchError(
            f"{model.label}: option 'pretrained': {published} tells {VOC_CLASSES} classes apart and the task has "
            f"{classes}; say trained_on: voc, so that they are mapped by name, or set pretrained: null"
        )
    weights: dict[str, Any] = {"weights": None, "weights_backbone": None}
    if published is not None:
        weights = {"weights": PUBLISHED[published]}
    elif download and options.backbone_weights is not None:
        weights["weights_backbone"] = "DEFAULT"
    try:
        module: nn.Module = getattr(segmentation, options.network)(**weights, progress=False, num_classes=classes)
    except (URLError, OSError) as error:
        what = "the published weights" if published is not None else "the weights of the backbone"
        option = "pretrained" if published is not None else "backbone_weights"
        raise BenchError(
            f"{model.label}: {what} could not be downloaded ({error}); connect to the network once, or set "
            f"{option}: null"
        ) from None
    if getattr(module, "aux_classifier", None) is not None:
        # The published ones were trained with a second head, which costs time.
        module.register_module("aux_classifier", None)
    return module
