"""U-Net: an encoder that halves the image `depth` times, and a decoder that doubles it back.

Ronneberger, Fischer, Brox: U-Net, MICCAI 2015 (https://arxiv.org/abs/1505.04597), with padded
convolutions, so that output and input have one size.

Any input size works. Going down rounds up (97 -> 49, 1 -> 1), going up doubles (49 -> 98), and
the last row or column is cropped where the skip connection is odd. Nothing is ever padded beyond
one pixel, and an even size never meets the crop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from adapters.unet.options import Attention, Down, Norm, Skip, Up


class UNet(nn.Module):
    """The whole network; channels double with each level: `base_width`, 2 `base_width`, …

    Args:
        out_channels: Channels of the logits.
        depth: Number of times the image is halved.
        base_width: Channels of the first level.
        down: Way in which a level halves its input.
        up: Way in which a level doubles its input; the interpolating ways halve the channels by a 1 × 1 convolution, so
            that every variant joins equally wide features.
        norm: Normalisation behind each 3 × 3 convolution.
        bias: True if those convolutions have a bias. Behind batch norm it changes nothing but the
            number of parameters; 64 wide, 4 deep, with bias is the classic network of 31,043,521
            parameters for one output channel.
        skip: Order of the channels of the skip connection, before or behind those from below. It changes
            nothing but which weights of other implementations fit.
        attention: `gates` weighs each skip connection by what the level below makes of it (Oktay et al.:
            Attention U-Net, MIDL 2018, https://arxiv.org/abs/1804.03999); `spatial` weighs the pixels of the
            bottleneck (the spatial half of Woo et al.: CBAM, ECCV 2018, https://arxiv.org/abs/1807.06521).
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        depth: int,
        base_width: int,
        down: Down,
        up: Up,
        norm: Norm,
        bias: bool = True,
        skip: Skip = "first",
        attention: Attention = "none",
    ) -> None:
        super().__init__()
        self._skip_first = skip == "first"
        widths = [base_width * 2**level for level in range(depth + 1)]
        inputs = [in_channels, *widths]
        self.encoders = nn.ModuleList(
            two_convolutions(inputs[level], widths[level], norm, bias) for level in range(depth)
        )
        self.downs = nn.ModuleList(halve(width, down) for width in widths[:-1])
        self.bottleneck = two_convolutions(inputs[depth], widths[depth], norm, bias)
        if attention == "spatial":
            self.bottleneck.append(SpatialAttention())
        self.ups = nn.ModuleList(double(2 * width, width, up) for width in reversed(widths[:-1]))
        self.decoders = nn.ModuleList(two_convolutions(2 * width, width, norm, bias) for width in reversed(widths[:-1]))
        gated = attention == "gates"
        self.gates = nn.ModuleList(AttentionGate(width) for width in reversed(widths[:-1]) if gated)
        self.classify = nn.Conv2d(base_width, out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, out_channels, H, W)."""
        skips: list[Tensor] = []
        x = image
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        gates = iter(self.gates)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips), strict=True):
            x = up(x)[..., : skip.shape[-2], : skip.shape[-1]]
            gate = next(gates, None)
            through = skip if gate is None else gate(skip, x)
            x = decoder(torch.cat([through, x] if self._skip_first else [x, through], dim=1))
        logits: Tensor = self.classify(x)
        return logits


class SpatialAttention(nn.Module):
    """Weighs each pixel by a 7 × 7 convolution of the mean and the maximum over its channels, through a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        weighed: Tensor = x * self.weigh(pooled).sigmoid()
        return weighed


class AttentionGate(nn.Module):
    """Additive attention: a skip connection times a number from 0 to 1 for each pixel.

    Skip and gating signal are of one size here, since the signal was doubled before; the paper
    computes the numbers at half the size and interpolates them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(1, channels // 2)
        self.of_skip = nn.Sequential(nn.Conv2d(channels, between, kernel_size=1), nn.BatchNorm2d(between))
        self.of_signal = nn.Sequential(nn.Conv2d(channels, between, kernel_size=1), nn.BatchNorm2d(between))
        self.weigh = nn.Sequential(nn.Conv2d(between, 1, kernel_size=1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Map two of (B, C, H, W) to the weighed skip connection, of the same shape."""
        weights: Tensor = self.weigh(torch.relu(self.of_skip(skip) + self.of_signal(signal)))
        return skip * weights


def two_convolutions(in_channels: int, out_channels: int, norm: Norm, bias: bool) -> nn.Sequential:
    """Return two times 3 × 3 convolution, normalisation, ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=bias))
        layers += normalise(out_channels, norm)
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def normalise(channels: int, norm: Norm) -> list[nn.Module]:
    """Return the normalisation as a list of no or one layer; group norm takes up to 8 equal groups."""
    if norm == "batch":
        return [nn.BatchNorm2d(channels, momentum=0.1)]
    if norm == "group":
        return [nn.GroupNorm(math.gcd(8, channels), channels)]
    return []


def halve(channels: int, down: Down) -> nn.Module:
    """Return a layer from (B, channels, H, W) to (B, channels, ⌈H/2⌉, ⌈W/2⌉)."""
    if down == "max_pool":
        return nn.MaxPool2d(2, ceil_mode=True)
    if down == "avg_pool":
        return nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
    return nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)


def double(in_channels: int, out_channels: int, up: Up) -> nn.Module:
    """Return a layer from (B, in_channels, H, W) to (B, out_channels, 2 H, 2 W)."""
    if up == "transposed_conv":
        return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
    # The 1 × 1 convolution and the interpolation commute; this order costs a quarter.
    interpolate = nn.Upsample(scale_factor=2, mode=up, align_corners=False if up == "bilinear" else None)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=1), interpolate)
