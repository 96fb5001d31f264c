"""A fully convolutional head for Detectron2, which ships none: FCN-32s, FCN-16s, FCN-8s.

Source: Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic Segmentation (2015,
https://arxiv.org/abs/1411.4038), §4.2: class scores by 1 × 1 convolutions of the stride-32 features
and of the skips at strides 16 and 8; the coarser scores are doubled in size and added to the finer
ones; the last upsampling is fixed bilinear. On a ResNet the skips are res4 and res3, and the
paper's two wide layers fc6 and fc7 are one optional 3 × 3 convolution of `head_width` channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F

NAME = "FCNHead"

SCORE_STD = 0.01
"""Of the scores' initial weights: about zero, as in the paper, with a gradient for what is below."""


def bilinear_kernel(factor: int) -> Tensor:
    """Weights of a transposed convolution that upsamples bilinearly by an even factor.

    Shape (2 f, 2 f), with stride f and padding f / 2; they sum to f², so that a constant stays.

    >>> bilinear_kernel(2)[0] * 16
    tensor([1., 3., 3., 1.])
    """
    taps = 1 - (torch.arange(2 * factor) - (2 * factor - 1) / 2).abs() / factor
    return taps[:, None] * taps[None, :]


class FCNHead(nn.Module):
    """Scores at one, two or three strides, summed from coarse to fine.

    Args:
        input_shape: Features by name; the coarsest and, for each finer one, its double resolution.
        num_classes: K.
        head_width: Channels of the 3 × 3 convolution on the coarsest features; 0 leaves it out.
        norm: Of that convolution, as in Detectron2's `get_norm`.
        upsampling: `transposed`: learnt, from bilinear weights; `bilinear`: fixed.
        ignore_value: Label that the loss leaves out.
        loss_weight: Factor of the loss.
    """

    @configurable
    def __init__(
        self,
        input_shape: Mapping[str, ShapeSpec],
        *,
        num_classes: int,
        head_width: int,
        norm: str,
        upsampling: str,
        ignore_value: int,
        loss_weight: float,
    ) -> None:
        super().__init__()
        by_stride = sorted(input_shape.items(), key=lambda item: -item[1].stride)
        self.in_features = [name for name, _ in by_stride]
        self.common_stride = by_stride[-1][1].stride
        self.ignore_value, self.loss_weight = ignore_value, loss_weight
        channels = [shape.channels for _, shape in by_stride]
        self.widen = nn.Identity()
        if head_width:
            self.widen = Conv2d(
                channels[0],
                head_width,
                kernel_size=3,
                padding=1,
                bias=not norm,
                norm=get_norm(norm, head_width),
                activation=F.relu,
            )
            weight_init.c2_msra_fill(self.widen)
            channels[0] = head_width
        self.scores = nn.ModuleList([_score(width, num_classes) for width in channels])
        self.doublings = nn.ModuleList([_doubling(upsampling, num_classes) for _ in channels[1:]])

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, object]:
        """Arguments of a Detectron2 configuration with `add_fcn_config`."""
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            "input_shape": {name: shape for name, shape in input_shape.items() if name in head.IN_FEATURES},
            "num_classes": head.NUM_CLASSES,
            "head_width": head.CONVS_DIM,
            "norm": head.NORM,
            "upsampling": head.UPSAMPLING,
            "ignore_value": head.IGNORE_VALUE,
            "loss_weight": head.LOSS_WEIGHT,
        }

    def forward(
        self, features: Mapping[str, Tensor], targets: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Return (logits (B, K, H, W), {}), or in training (None, losses) for targets (B, H, W)."""
        logits = self.layers(features).float()
        logits = F.interpolate(logits, scale_factor=self.common_stride, mode="bilinear", align_corners=False)
        return (None, self.losses(logits, targets)) if self.training else (logits, {})

    def layers(self, features: Mapping[str, Tensor]) -> Tensor:
        """Scores (B, K, h, w) at the finest of the strides."""
        total = self.scores[0](self.widen(features[self.in_features[0]]))
        for name, score, doubling in zip(self.in_features[1:], self.scores[1:], self.doublings, strict=True):
            finer = score(features[name])
            # Rounding up on the way down can leave one row or column too many.
            total = finer + doubling(total)[..., : finer.shape[-2], : finer.shape[-1]]
        return total

    def losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Mean cross-entropy over the pixels that are not ignored; 0 where there are none."""
        total = F.cross_entropy(logits, targets, ignore_index=self.ignore_value, reduction="sum")
        pixels = (targets != self.ignore_value).sum().clamp(min=1)
        return {"loss_sem_seg": total / pixels * self.loss_weight}


def _score(channels: int, num_classes: int) -> nn.Module:
    score = nn.Conv2d(channels, num_classes, kernel_size=1)
    nn.init.normal_(score.weight, std=SCORE_STD)
    nn.init.zeros_(score.bias)
    return score


def _doubling(upsampling: str, num_classes: int) -> nn.Module:
    if upsampling == "bilinear":
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    doubling = nn.ConvTranspose2d(num_classes, num_classes, kernel_size=4, stride=2, padding=1, bias=False)
    with torch.no_grad():
        doubling.weight.zero_()
        for class_id in range(num_classes):
            doubling.weight[class_id, class_id] = bilinear_kernel(2)
    return doubling


def add_fcn_config(cfg: CfgNode) -> None:
    """Add the key that `FCNHead` reads beyond Detectron2's own."""
    cfg.MODEL.SEM_SEG_HEAD.UPSAMPLING = "transposed"


if NAME not in SEM_SEG_HEADS_REGISTRY:
    SEM_SEG_HEADS_REGISTRY.register(FCNHead)
