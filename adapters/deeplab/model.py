"""DeepLabV3+: a dilated ResNet, atrous spatial pyramid pooling, and a decoder that adds fine features.

Chen, Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous Separable Convolution for Semantic
Image Segmentation, ECCV 2018 (https://arxiv.org/abs/1802.02611); the pyramid with image pooling is
that of Chen et al., Rethinking Atrous Convolution (https://arxiv.org/abs/1706.05587). As in the
paper's ResNet variants convolutions are full, not separable; its multi-grid dilations are left out.

Any input size works: each stride rounds up, and features are resized to each other bilinearly.
Weights start as torch draws them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.deeplab.options import Depth, OutputStride

BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
"""Layers of a ResNet -> residual blocks of its four stages (He et al., https://arxiv.org/abs/1512.03385)."""

STEPS: dict[OutputStride, tuple[tuple[int, int], ...]] = {
    32: ((1, 1), (2, 1), (2, 1), (2, 1)),
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
}
"""Output stride -> (stride, dilation) of the four stages: what no longer strides is dilated instead."""


class DeepLabV3Plus(nn.Module):
    """The whole network.

    Args:
        out_channels: Channels of the logits.
        depth: Layers of the ResNet.
        output_stride: Pixels of the input per cell of the encoder's output.
        base_width: Channels of the ResNet's stem and first stage; 64 is the published network.
        aspp_dilations: Dilations of the pyramid's 3 × 3 convolutions, in cells of the encoder's output.
        aspp_width: Channels of each branch of the pyramid and of its output.
        low_level_width: Channels that the features of the first stage are reduced to.
        decoder_width: Channels of the decoder's two 3 × 3 convolutions.
        dropout: Share of the pyramid's output that training leaves out.
    """

    def __init__(
        self,
        *,
        out_channels: int,
        depth: Depth,
        output_stride: OutputStride,
        base_width: int,
        aspp_dilations: Sequence[int],
        aspp_width: int,
        low_level_width: int,
        decoder_width: int,
        dropout: float,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.backbone = DilatedResNet(
            depth=depth, output_stride=output_stride, base_width=base_width, in_channels=in_channels
        )
        low_level, high_level = self.backbone.low_level_channels, self.backbone.high_level_channels
        self.aspp = AtrousPyramid(high_level, aspp_width, dilations=aspp_dilations, dropout=dropout)
        self.reduce = convolution(low_level, low_level_width, kernel_size=1)
        self.decoder = nn.Sequential(
            *convolution(aspp_width + low_level_width, decoder_width, kernel_size=3),
            *convolution(decoder_width, decoder_width, kernel_size=3),
        )
        self.classify = nn.Conv2d(decoder_width, out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, out_channels, ⌈H/4⌉, ⌈W/4⌉); the paper resizes those bilinearly."""
        low_level, high_level = self.backbone(image)
        context = resize(self.aspp(high_level), like=low_level)
        fused = self.decoder(torch.cat([self.reduce(low_level), context], dim=1))
        logits: Tensor = self.classify(fused)
        return logits


# --------------------------------------------------------------------------- encoder


class DilatedResNet(nn.Module):
    """A ResNet without its classifier; its stride sits in the 3 × 3 convolutions ("version 1.5").

    Attributes:
        low_level_channels, high_level_channels: Channels of the features after the first and the last stage.
    """

    def __init__(self, *, depth: Depth, output_stride: OutputStride, base_width: int, in_channels: int = 3) -> None:
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        self.stem = nn.Sequential(
            *convolution(in_channels, base_width, kernel_size=7, stride=2),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        stages: list[nn.Module] = []
        channels, dilation = base_width, 1
        for level, blocks in enumerate(BLOCKS[depth]):
            stride, dilation_from_second_on = STEPS[output_stride][level]
            width = base_width * 2**level
            layers: list[nn.Module] = []
            for index in range(blocks):
                # The first block still sees the grid, and has the dilation, of the stage before.
                layers.append(block(channels, width, stride=1 if index else stride, dilation=dilation))
                channels, dilation = width * block.expansion, dilation_from_second_on
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.low_level_channels = base_width * block.expansion
        self.high_level_channels = channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features after the first stage, at stride 4, and after the last, at the output stride."""
        low_level = self.stages[0](self.stem(image))
        high_level = low_level
        for stage in self.stages[1:]:
            high_level = stage(high_level)
        return low_level, high_level


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *convolution(in_channels, width, kernel_size=3, stride=stride, dilation=dilation),
            *convolution(width, width, kernel_size=3, dilation=dilation, relu=False),
        )
        self.shortcut = shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, width, ⌈h/stride⌉, ⌈w/stride⌉)."""
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """A 3 × 3 convolution between two of 1 × 1 that narrow and widen by four, beside a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *convolution(in_channels, width, kernel_size=1),
            *convolution(width, width, kernel_size=3, stride=stride, dilation=dilation),
            *convolution(width, 4 * width, kernel_size=1, relu=False),
        )
        self.shortcut = shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, 4 width, ⌈h/stride⌉, ⌈w/stride⌉)."""
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity where a block keeps its shape, else a 1 × 1 convolution."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return convolution(in_channels, out_channels, kernel_size=1, stride=stride, relu=False)


# --------------------------------------------------------------------------- pyramid


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: one map seen at several scales, and as a whole.

    A 1 × 1 convolution, a 3 × 3 one per dilation, and image pooling, side by side, then joined by a
    1 × 1 convolution. Image pooling takes a map of any size, one cell included.
    """

    def __init__(self, in_channels: int, width: int, *, dilations: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                convolution(in_channels, width, kernel_size=1),
                *(convolution(in_channels, width, kernel_size=3, dilation=dilation) for dilation in dilations),
            ]
        )
        self.image_pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), *convolution(in_channels, width, kernel_size=1))
        self.project = nn.Sequential(
            *convolution((len(dilations) + 2) * width, width, kernel_size=1), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, width, h, w)."""
        whole = self.image_pooling(x).expand(-1, -1, *x.shape[-2:])
        joined: Tensor = self.project(torch.cat([*(branch(x) for branch in self.branches), whole], dim=1))
        return joined


# --------------------------------------------------------------------------- layers


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that can train on one value per channel.

    That is what image pooling leaves of a batch of one image. The variance of one value is zero, so
    torch refuses it; here it is normalised by the running statistics, which it does not change.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, h, w) per channel."""
        if x.numel() > x.shape[1] or not self.training:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def convolution(
    in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, dilation: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU; at stride 1 the size stays."""
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            bias=False,
        ),
        BatchNorm(out_channels, momentum=0.1),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def resize(x: Tensor, *, like: Tensor) -> Tensor:
    """Resize (B, C, h, w) bilinearly to the height and width of another map."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
