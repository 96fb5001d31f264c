"""ResNets of any width and output stride for Detectron2, and the FPN on top.

Detectron2's builders take ResNet-18 and -34 with 64 channels and without dilation only
(`modeling/backbone/resnet.py` asserts it; `projects/deeplab/resnet.py` knows depths from 50 on).
Here the same `BasicBlock`s are assembled with any width, and their last stages may be dilated
instead of strided. ResNet-50 and deeper come from Detectron2's own builders.

Without an FPN Detectron2 does not pad, and its heads then fail in training on sizes that their
stride does not divide; `PaddedResNet` asks for padding to its largest stride.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet, build_resnet_backbone
from detectron2.projects.deeplab import build_resnet_deeplab_backbone
from detectron2.projects.deeplab.resnet import DeepLabStem
from torch import nn

RESNET = "build_padded_resnet_backbone"
RESNET_FPN = "build_padded_resnet_fpn_backbone"

BASIC_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks in res2 to res5; He et al. (2016, https://arxiv.org/abs/1512.03385), table 1."""

STAGES = ("res2", "res3", "res4", "res5")


class PaddedResNet(ResNet):
    """A ResNet whose input is padded to a multiple of its largest stride."""

    @property
    def size_divisibility(self) -> int:
        """Largest stride of the features."""
        return max(shape.stride for shape in self.output_shape().values())


def build_padded_resnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PaddedResNet:
    """Build a ResNet; see `add_backbone_config` for the keys beyond Detectron2's own."""
    resnets = cfg.MODEL.RESNETS
    if resnets.DEPTH in BASIC_BLOCKS:
        make_stem = DeepLabStem if resnets.STEM_TYPE == "deeplab" else BasicStem
        stem = make_stem(input_shape.channels, resnets.STEM_OUT_CHANNELS, resnets.NORM)
        stages = _basic_stages(cfg)
    else:
        plain = resnets.STEM_TYPE == "basic" and resnets.OUTPUT_STRIDE == 32
        built = (build_resnet_backbone if plain else build_resnet_deeplab_backbone)(cfg, input_shape)
        stem, stages = built.stem, [list(stage.children()) for stage in built.stages]
    return PaddedResNet(stem, stages, out_features=resnets.OUT_FEATURES, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)


def _basic_stages(cfg: CfgNode) -> list[list[nn.Module]]:
    resnets = cfg.MODEL.RESNETS
    dilations = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}[resnets.OUTPUT_STRIDE]
    channels, stages = resnets.STEM_OUT_CHANNELS, []
    for index, blocks in enumerate(BASIC_BLOCKS[resnets.DEPTH]):
        width = resnets.RES2_OUT_CHANNELS * 2**index
        stage = ResNet.make_stage(
            BasicBlock,
            blocks,
            in_channels=channels,
            out_channels=width,
            norm=resnets.NORM,
            stride_per_block=[1 if index == 0 or dilations[index] > 1 else 2] + [1] * (blocks - 1),
        )
        for block in stage:
            _dilate(block, dilations[index])
        stages.append(stage)
        channels = width
    return stages


def _dilate(block: BasicBlock, dilation: int) -> None:
    for convolution in (block.conv1, block.conv2):
        convolution.dilation = convolution.padding = (dilation, dilation)


def build_padded_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Build Detectron2's FPN, p2 to p6, on `build_padded_resnet_backbone`."""
    return FPN(
        bottom_up=build_padded_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def add_backbone_config(cfg: CfgNode) -> None:
    """Add the key that `build_padded_resnet_backbone` reads beyond DeepLab's: the stride of res5."""
    cfg.MODEL.RESNETS.OUTPUT_STRIDE = 32


for _build in (build_padded_resnet_backbone, build_padded_resnet_fpn_backbone):
    if _build.__name__ not in BACKBONE_REGISTRY:
        BACKBONE_REGISTRY.register(_build)
