"""torchvision's Mask R-CNN from a model config: its options, and how they become a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import nn
from torchvision.models import detection, resnet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor

from adapters._torch.options import OUTSIDE_THE_NETWORK, read_options
from adapters.torchvision.options import SMALL, SMALL_ONLY, MaskRCNNOptions
from bench.errors import BenchError
from bench.records import ModelSpec, TaskSpec

COCO_IDS = 91
"""Outputs of the published networks: the background, COCO's 80 things and ten ids without a class."""

READING = {
    *OUTSIDE_THE_NETWORK,
    "pretrained",
    "score_threshold",
    "nms_threshold",
    "detections",
    "proposals_test",
    "short_edge",
    "max_size",
    "backbone_weights",
    "bn_momentum",
    "rpn_batch",
    "roi_batch",
    "proposals_train",
    "clip_gradients",
}
"""Options that decide how weights are trained or read; weights trained with one serve any other."""


@dataclass(frozen=True)
class MaskRCNNNetwork:
    """A network with what its weight files must share with it.

    Attributes:
        module: Numbers the things from 1; 0 is its background.
        things: Class id of the task by number of the network, less one, int64.
        architecture: Description that stands in weight files; see `adapters._torch.weights`.
        class_names: Class names of the task, by id.
        backbone: Backbone as in `adapters._torch.network.SemanticNetwork`.
    """

    module: MaskRCNN
    things: NDArray[np.int64]
    architecture: dict[str, JsonValue]
    class_names: tuple[str, ...]
    backbone: tuple[str, ...] = ("backbone.body.",)


def make_mask_rcnn(model: ModelSpec, task: TaskSpec) -> MaskRCNNNetwork:
    """Return the network of a model config for a task with at least one thing, with fresh weights.

    Raises:
        BenchError: If an option is wrong or the backbone's weights cannot be had.
    """
    options = read_options(MaskRCNNOptions, model)
    published = options.pretrained if model.weights is None else None
    if published is not None:
        things = _coco_ids(task, model.label)
    else:
        things = np.array([i for i, spec in enumerate(task.classes) if spec.is_thing], dtype=np.int64)
    load = options.backbone_weights is not None and model.weights is None
    try:
        module = _module(options, classes=1 + len(things), published=published, backbone_weights=load)
    except (URLError, OSError) as error:
        what = "published weights" if published else "weights of the backbone"
        raise BenchError(
            f"{model.label}: the {what} could not be downloaded ({error}); connect to the network once, or set "
            f"{'pretrained' if published else 'backbone_weights'}: null"
        ) from None
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = options.bn_momentum
    unread = READING if options.network == SMALL else READING | set(SMALL_ONLY)
    return MaskRCNNNetwork(
        module=module,
        things=things,
        architecture=options.model_dump(exclude=unread),
        class_names=tuple(spec.name for spec in task.classes),
    )


def _coco_ids(task: TaskSpec, label: str) -> NDArray[np.int64]:
    """Return the class id by number of the published network, less one: COCO's own ids, those without a class too."""
    if len(task.classes) != COCO_IDS:
        raise BenchError(
            f"{label}: option 'pretrained': coco answers with {COCO_IDS} ids and the task has {len(task.classes)} "
            "classes; say trained_on: coco_91, so that they are mapped by name, or set pretrained: null"
        )
    return np.arange(1, COCO_IDS)


def _module(options: MaskRCNNOptions, *, classes: int, published: str | None, backbone_weights: bool) -> MaskRCNN:
    of_backbone = "DEFAULT" if backbone_weights else None
    common: dict[str, Any] = {
        # The transform is always called with a size to resize to; whether it is called is the adapter's choice.
        "min_size": options.short_edge or options.max_size,
        "max_size": options.max_size,
        "rpn_batch_size_per_image": options.rpn_batch,
        "box_batch_size_per_image": options.roi_batch,
        "rpn_post_nms_top_n_train": options.proposals_train,
        "rpn_post_nms_top_n_test": options.proposals_test,
        "box_score_thresh": options.score_threshold,
        "box_nms_thresh": options.nms_threshold,
        "box_detections_per_img": options.detections,
    }
    if options.network != SMALL:
        build: Callable[..., MaskRCNN] = getattr(detection, options.network)
        common["progress"] = False
        if published is not None:
            return build(weights="COCO_V1", num_classes=classes, **common)
        return build(weights=None, weights_backbone=of_backbone, num_classes=classes, **common)
    backbone = _pyramid(options, of_backbone)
    return MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(
            sizes=tuple((size,) for size in options.anchor_sizes),
            aspect_ratios=(tuple(options.anchor_ratios),) * len(options.anchor_sizes),
        ),
        box_head=TwoMLPHead(options.fpn_channels * ROI_BOX_SIDE**2, options.box_head_channels),
        box_predictor=FastRCNNPredictor(options.box_head_channels, classes),
        mask_head=MaskRCNNHeads(options.fpn_channels, [options.mask_head_channels] * 4, 1, nn.BatchNorm2d),
        mask_predictor=MaskRCNNPredictor(options.mask_head_channels, options.mask_head_channels, classes),
        **common,
    )


ROI_BOX_SIDE = 7
"""Cells a side of the features that torchvision pools for the box head."""


def _pyramid(options: MaskRCNNOptions, weights: str | None) -> BackboneWithFPN:
    """Return a feature pyramid of four levels and a pooled one; torchvision's is 256 wide, without norm."""
    body = getattr(resnet, options.backbone)(weights=weights)
    stages = ("layer1", "layer2", "layer3", "layer4")
    return BackboneWithFPN(
        body,
        return_layers={name: str(level) for level, name in enumerate(stages)},
        in_channels_list=[body.inplanes // 2 ** (3 - level) for level in range(4)],
        out_channels=options.fpn_channels,
        norm_layer=nn.BatchNorm2d,
    )
