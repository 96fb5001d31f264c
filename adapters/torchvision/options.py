"""Options of torchvision's model configs, without the library."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from adapters._torch.options import HeadOptions, RegionOptions, option_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities


class SemanticOptions(HeadOptions):
    """Options that a model config or a suite may set.

    Attributes:
        network: torchvision's name.
        pretrained: `coco_with_voc_labels` downloads the published weights of all of the network, which tell
            VOC's 21 classes apart; None leaves them.
        backbone_weights: `default` downloads those of the backbone; None starts from scratch.
        bn_momentum: Momentum of every batch normalisation. torchvision's MobileNetV3 has 0.01, made for hundreds of
            epochs: after a short training its running statistics are still those of the start (a measured 0.05 instead
            of 0.45 mIoU). None keeps the network's own.
    """

    network: Literal[
        "fcn_resnet50",
        "fcn_resnet101",
        "deeplabv3_resnet50",
        "deeplabv3_resnet101",
        "deeplabv3_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large",
    ]
    pretrained: Literal["coco_with_voc_labels"] | None = None
    backbone_weights: Literal["default"] | None = None
    bn_momentum: float | None = Field(default=0.1, gt=0, le=1)


SMALL = "maskrcnn_small"


SMALL_ONLY = (
    "backbone",
    "fpn_channels",
    "box_head_channels",
    "mask_head_channels",
    "anchor_sizes",
    "anchor_ratios",
)
"""Options that the published networks fix."""


class MaskRCNNOptions(RegionOptions):
    """Options that a model config or a suite may set.

    Attributes:
        network: torchvision's name, or `maskrcnn_small`: its pieces on a narrow pyramid, with batch
            normalisation and nothing frozen, which trains from scratch.
        pretrained: `coco` downloads the published weights of all of the network, which answer with COCO's own
            ids; None leaves them.
        backbone_weights: `default` downloads those of the backbone, most of which the first network
            then freezes; None starts from scratch.
        backbone: `maskrcnn_small`: the ResNet.
        fpn_channels, box_head_channels, mask_head_channels, anchor_sizes, anchor_ratios: `maskrcnn_small` alone.
        score_threshold: As of the others; torchvision's own default is 0.05.
        nms_threshold: IoU of boxes above which the less sure one of a class is left out.
        bn_momentum: Momentum of every batch normalisation.
    """

    network: Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "maskrcnn_small"]
    pretrained: Literal["coco"] | None = None
    backbone_weights: Literal["default"] | None = None
    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    nms_threshold: float = Field(default=0.5, gt=0, le=1)
    bn_momentum: float = Field(default=0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _fits_the_network(self) -> MaskRCNNOptions:
        fixed = sorted(self.model_fields_set & set(SMALL_ONLY))
        if self.network != SMALL and fixed:
            raise ValueError(f"option '{fixed[0]}' belongs to 'network: {SMALL}'; {self.network} fixes it")
        if self.network == SMALL and self.pretrained is not None:
            raise ValueError(f"option 'pretrained' is for the published networks; '{SMALL}' has no weights")
        return self


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(MaskRCNNOptions if model.task == "instance" else SemanticOptions, model)


NO_GRAPH = (
    "its heads run for each region that it proposes, and how many there are depends on the image, so that it is no "
    "graph of fixed shapes"
)


def abilities(model: ModelSpec) -> Abilities:
    if model.task == "semantic":
        return Abilities()
    return Abilities(
        runtimes=("eager",),
        no_other_runtime=NO_GRAPH,
        cpu_precisions=("fp32",),
        several_passes=False,
        probabilities=False,
        training_devices=False,
    )
