"""Networks that take only multiples of some number of pixels, made to take any size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import Unsupported
from bench.records import Size


class PadsToMultiple(nn.Module):
    """Pads the input at the bottom and on the right, and cuts the logits back.

    Input is normalised, so the padding, zeros, has the mean colour. Where there is padding, logits of a
    coarser grid are resized to the padded input before they are cut: a cell across the edge cannot be halved,
    and what is left of it would be squeezed.

    Args:
        module: Maps (B, C, H, W) to logits (B, K, h, w).
        multiple: Both sides of its input are multiples of this many pixels.
        cells: Squares of that side which an input has at least; norms of single images take no grid of one.
    """

    def __init__(self, module: nn.Module, multiple: int, *, cells: int = 1) -> None:
        super().__init__()
        self.module, self.multiple, self.cells = module, multiple, cells

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits for any (H, W)."""
        padded = padded_to_multiple(pixels, self.multiple)
        if self.cells > 1 and padded.shape[-2] * padded.shape[-1] < self.cells * self.multiple**2:
            padded = F.pad(padded, (0, (self.cells - 1) * self.multiple))
        logits: Tensor = self.module(padded)
        if padded.shape[-2:] == pixels.shape[-2:]:
            return logits
        if logits.shape[-2:] != padded.shape[-2:]:
            logits = F.interpolate(logits.float(), size=padded.shape[-2:], mode="bilinear", align_corners=False)
        return logits[..., : pixels.shape[-2], : pixels.shape[-1]]


def padded_to_multiple(pixels: Tensor, multiple: int) -> Tensor:
    """Return pixels (B, C, H, W) padded by zeros at the bottom and on the right to multiples of so many."""
    down, right = (-side % multiple for side in pixels.shape[-2:])
    return F.pad(pixels, (0, right, 0, down)) if down or right else pixels


class PadsToSquare(nn.Module):
    """A `PadsToMultiple` for a module that takes squares alone, or one of a single size.

    Args:
        module: Maps (B, C, S, S) to logits (B, K, s, s).
        multiple: S is a multiple of this many pixels.
        side: S where there is a single one; None where any multiple will do.
        label: The model's label, for messages.
    """

    def __init__(self, module: nn.Module, multiple: int, *, label: str, side: int | None = None) -> None:
        super().__init__()
        self.module, self.multiple, self._side, self._label = module, multiple, side, label

    def around(self, module: nn.Module) -> PadsToSquare:
        """Return the same padding around another module."""
        return PadsToSquare(module, self.multiple, label=self._label, side=self._side)

    def square(self, size: Size | None) -> Size | None:
        """Return the square that an input of a size is padded to; None where inputs and squares have any size."""
        if self._side is None and size is None:
            return None
        longest = max(size) if size is not None else 0
        side = self._side or longest + -longest % self.multiple
        return Size(side, side)

    def padded(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, C, H, W) in their square; raises `Unsupported` where the single one does not hold them."""
        height, width = pixels.shape[-2:]
        longest = max(height, width)
        side = self._side or longest + -longest % self.multiple
        if longest > side:
            raise Unsupported(
                f"{self._label} sees {side} x {side} pixels, and an input has {height} x {width}; give the target no "
                f"image_size, or one within {side} x {side}"
            )
        return F.pad(pixels, (0, side - width, 0, side - height))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits for any (H, W); raises as `padded`."""
        (height, width), padded = pixels.shape[-2:], self.padded(pixels)
        side = padded.shape[-1]
        logits: Tensor = self.module(padded)
        if height == width == side:
            return logits
        if logits.shape[-1] != side:
            logits = F.interpolate(logits.float(), size=(side, side), mode="bilinear", align_corners=False)
        return logits[..., :height, :width]
