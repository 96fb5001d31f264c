"""A forward pass over windows that cover its input, as mmsegmentation's `EncoderDecoder.slide_inference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters._torch.images import resize_logits
from bench.records import Size, SlidingWindow

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""Maps normalised pixels (B, 3, H, W) to logits (B, C, h, w); where (h, w) differs from (H, W) they are resized."""


def windowed(forward: Forward, window: SlidingWindow, *, fill: float = 0.0) -> Forward:
    """Return a pass over windows, one position at a time for all images of the batch.

    The logits of each window are resized to it and averaged, in float32, where windows overlap.
    An input smaller than the window is padded at the bottom and on the right, and the logits are
    cut back; mmsegmentation makes the window smaller instead.

    Args:
        forward: Pass that sees each window.
        window: Size and overlap.
        fill: Value of the padding in normalised pixels; 0 is the mean colour.

    Returns:
        Maps (B, 3, H, W) to float32 logits (B, C, H, W).
    """
    step = Size(*(max(1, int(side * (1 - window.overlap) + 0.5)) for side in window.size))

    def passed(pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        padded = padded_to(pixels, window.size, fill)
        tops = window_starts(padded.shape[-2], window.size.height, step.height)
        lefts = window_starts(padded.shape[-1], window.size.width, step.width)
        total: Tensor | None = None
        for top in tops:
            for left in lefts:
                part = padded[..., top : top + window.size.height, left : left + window.size.width]
                logits = resize_logits(forward(part), window.size).float()
                if total is None:
                    total = logits.new_zeros((*logits.shape[:2], *padded.shape[-2:]))
                total[..., top : top + window.size.height, left : left + window.size.width] += logits
        assert total is not None  # there is at least one window
        rows = _cover(tops, window.size.height, total.shape[-2])
        columns = _cover(lefts, window.size.width, total.shape[-1])
        total /= (rows[:, None] * columns).to(total.device)
        return total[..., :height, :width]

    return passed


def window_starts(length: int, window: int, step: int) -> list[int]:
    """Return where windows begin, a step apart, along a side, pixels; the last one ends where the side ends.

    >>> window_starts(10, 4, 3), window_starts(9, 4, 3), window_starts(4, 4, 3)
    ([0, 3, 6], [0, 3, 5], [0])
    """
    return [*range(0, length - window, step), length - window]


def padded_to(pixels: Tensor, size: Size, fill: float) -> Tensor:
    """Return pixels (B, C, H, W) padded at the bottom and on the right to at least a size."""
    down, right = max(0, size.height - pixels.shape[-2]), max(0, size.width - pixels.shape[-1])
    return F.pad(pixels, (0, right, 0, down), value=fill) if down or right else pixels


def _cover(starts: Sequence[int], window: int, length: int) -> Tensor:
    """Return how many windows cover each place along a side, float32, (length,)."""
    counts = torch.zeros(length)
    for start in starts:
        counts[start : start + window] += 1
    return counts
