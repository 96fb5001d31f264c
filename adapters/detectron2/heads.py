"""Heads that Detectron2 lacks, or that its own fails with: an FCN, and a DeepLabV3+ for images of any size."""

from __future__ import annotations

from typing import Any

import fvcore.nn.weight_init as weight_init
import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.projects.deeplab import DeepLabV3PlusHead
from torch import Tensor, nn
from torch.nn import functional as F

PREDICTOR_STD = 0.01
"""The last convolution's first weights have this standard deviation, as in the FCN head."""


class FCNHead(nn.Module):
    """A fully convolutional head for `SemanticSegmentor`: score maps of several depths, summed from coarse to fine.

    Detectron2 ships none. The finest of its input features decides the name: res5 alone is FCN-32s,
    with res4 FCN-16s, with res3 FCN-8s.

    Source: Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR
    2015, §4.2-4.3: 1 x 1 scores of each depth, twofold up-sampling that starts as bilinear and is
    learned, the last one fixed. A 3 x 3 convolution with normalisation stands before the deepest
    scores, where the paper has the classifier of its pretrained network.

    Args:
        cfg: `SEM_SEG_HEAD`: IN_FEATURES, CONVS_DIM, NORM, NUM_CLASSES, COMMON_STRIDE, IGNORE_VALUE
            and LOSS_WEIGHT.
        input_shape: Channels and stride of the backbone's features.
    """

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__()
        head = cfg.MODEL.SEM_SEG_HEAD
        self.in_features = sorted(head.IN_FEATURES, key=lambda name: -input_shape[name].stride)  # coarse to fine
        self.ignore_value, self.loss_weight = head.IGNORE_VALUE, head.LOSS_WEIGHT
        self.common_stride = input_shape[self.in_features[-1]].stride
        deepest = input_shape[self.in_features[0]].channels
        self.classifier = Conv2d(
            deepest,
            head.CONVS_DIM,
            kernel_size=3,
            padding=1,
            bias=not head.NORM,
            norm=get_norm(head.NORM, head.CONVS_DIM),
            activation=F.relu,
        )
        weight_init.c2_msra_fill(self.classifier)
        channels = [head.CONVS_DIM, *(input_shape[name].channels for name in self.in_features[1:])]
        scores = [nn.Conv2d(width, head.NUM_CLASSES, kernel_size=1) for width in channels]
        for score in scores:
            nn.init.normal_(score.weight, std=0.01)
            assert score.bias is not None
            nn.init.zeros_(score.bias)
        self.scores = nn.ModuleList(scores)
        self.upsampling = nn.ModuleList(bilinear_deconvolution(head.NUM_CLASSES) for _ in self.in_features[1:])

    def forward(
        self, features: dict[str, Tensor], targets: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Return (None, losses) in training, else (logits (B, K, H, W), {})."""
        logits = self.layers(features)
        if self.training:
            assert targets is not None
            return None, self.losses(logits, targets)
        return self._to_input_size(logits), {}

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """Return logits at the stride of the finest feature, (B, K, h, w)."""
        first, *finer = self.in_features
        total: Tensor = self.scores[0](self.classifier(features[first]))
        for score, upsample, name in zip(self.scores[1:], self.upsampling, finer, strict=True):
            skip = score(features[name])
            # Strides round up, so that an odd map comes back one row or column too large.
            total = upsample(total)[..., : skip.shape[-2], : skip.shape[-1]] + skip
        return total

    def losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross-entropy at input size over pixels that are not void."""
        # Features round odd sizes up, so the logits may reach beyond the targets.
        logits = self._to_input_size(logits.float())[..., : targets.shape[-2], : targets.shape[-1]]
        loss = F.cross_entropy(logits, targets, ignore_index=self.ignore_value)
        return {"loss_sem_seg": loss * self.loss_weight}

    def _to_input_size(self, logits: Tensor) -> Tensor:
        return F.interpolate(logits, scale_factor=self.common_stride, mode="bilinear", align_corners=False)


def bilinear_deconvolution(channels: int) -> nn.ConvTranspose2d:
    """Twofold up-sampling, a channel for itself, that starts as bilinear interpolation and can be learned."""
    layer = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, groups=channels, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_((taps[:, None] * taps[None]).expand_as(layer.weight))
    return layer


class AnySizeDeepLabV3PlusHead(DeepLabV3PlusHead):
    """Detectron2's `DeepLabV3PlusHead`, whose logits are cut to the targets and whose scores begin larger.

    Detectron2's compares its logits, enlarged by the stride, with the targets as they are, which fails in training
    where a side is no multiple of the stride. It also starts its last convolution at a standard deviation of 0.001,
    made for pretrained backbones: nearly no gradient reaches the layers below. Model configs that start from the model
    zoo's files keep the framework's own head.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        nn.init.normal_(self.predictor.weight, std=PREDICTOR_STD)

    def losses(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the configured loss at input size, from logits (B, K, h, w) and targets (B, H, W)."""
        # Features round odd sizes up, so the logits may reach beyond the targets.
        logits = F.interpolate(predictions, scale_factor=self.common_stride, mode="bilinear", align_corners=False)
        loss = self.loss(logits[..., : targets.shape[-2], : targets.shape[-1]], targets)
        return {"loss_sem_seg": loss * self.loss_weight}


if "FCNHead" not in SEM_SEG_HEADS_REGISTRY:  # the registry is the process's, and refuses a second one
    SEM_SEG_HEADS_REGISTRY.register(FCNHead)
    SEM_SEG_HEADS_REGISTRY.register(AnySizeDeepLabV3PlusHead)
