"""Windows and test-time augmentation: what a target makes of a forward pass.

Windows are those of mmsegmentation's `EncoderDecoder.slide_inference`, test-time augmentation is that of its
`SegTTAModel`.

Scaling and mirroring are done on the device, so that they are timed with the passes they serve.
mmsegmentation brings the logits of a pass to the size of its copy and then to that of the original
image before it takes probabilities; here they come to the size of the network input, which is the
original's where a target sets no `image_size`, and in one step, as those of a plain pass do. What
is returned are logits again, those of the mean probabilities: resized and read like any others they
name the classes that the mean names, and one pass gives what it gives without augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters._torch.images import resize_logits
from adapters._torch.network import Head
from bench.errors import Unsupported
from bench.records import InferenceAugmentation, Size, SlidingWindow, Target

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""Maps normalised pixels (B, 3, H, W) to logits (B, C, h, w); where (h, w) differs from (H, W) they are resized."""


def windowed(forward: Forward, window: SlidingWindow, *, fill: float = 0.0) -> Forward:
    """Return a pass over windows, one position at a time for all images of the batch.

    The logits of each window are resized to it and averaged, in float32, where windows overlap.
    An input smaller than the window is padded at the bottom and on the right, and the logits are
    cut back; mmsegmentation makes the window smaller instead.

    Returns:
        Maps (B, 3, H, W) to float32 logits (B, C, H, W); padding has the value `fill`, where 0 is the mean colour.
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


SATURATED = 1e-7
"""This says how far a mean probability of a sigmoid stays from 0 and 1, about float32's resolution below 1."""


def target_forward(forward: Forward, target: Target, *, fill: float = 0.0, head: Head | None = None) -> Forward | None:
    """Return the pass that a target asks for: windows within each view; None where the plain one will do.

    Args:
        forward: Takes any (H, W).
        target: Its `window` and `test_time` are read.
        fill: Value of the padding around an image smaller than a window, in normalised pixels.
        head: Reads the outputs; None: logits of one channel are a sigmoid's, those of more a softmax's.

    Returns:
        Maps (B, 3, H, W) to logits (B, C, H, W), made for images without padding: see `by_content`.
    """
    if target.window is None and target.test_time is None:
        return None
    if target.window is not None:
        forward = windowed(forward, target.window, fill=fill)
    return forward if target.test_time is None else augmented(forward, target.test_time, head)


def refuse_objects_in_several_passes(target: Target, label: str) -> None:
    """Refuse windows and test-time augmentation for a model that finds objects.

    Raises:
        Unsupported: If the target asks for either.
    """
    asked = [name for name in ("window", "test_time") if getattr(target, name) is not None]
    if asked:
        raise Unsupported(
            f"{label} finds objects, and those of several passes would have to be matched, not averaged; leave "
            f"{' and '.join(asked)} out of its target"
        )


def by_content(forward: Forward, pixels: Tensor, content: Sequence[Size]) -> Tensor:
    """Pass every image of a batch apart from its padding, those of one size together.

    Args:
        forward: Maps (B, 3, H, W) to (B, C, h, w).
        pixels: The batch, (B, 3, H, W).
        content: Size of each image within it, from the top left.

    Returns:
        Logits (B, C, H, W); zero in the padding.
    """
    size = Size(*pixels.shape[-2:])
    if set(content) == {size}:
        return resize_logits(forward(pixels), size)
    found: Tensor | None = None
    for own in sorted(set(content)):
        places = [i for i, other in enumerate(content) if other == own]
        together = torch.stack([pixels[i, :, : own.height, : own.width] for i in places])
        logits = resize_logits(forward(together), own)
        if found is None:
            found = logits.new_zeros((len(content), logits.shape[1], *size))
        for place, one in zip(places, logits, strict=True):
            found[place, :, : own.height, : own.width] = one
    assert found is not None  # a batch has at least one image
    return found


def augmented(forward: Forward, test_time: InferenceAugmentation, head: Head | None = None) -> Forward:
    """Return a pass over scaled and mirrored copies, whose probabilities are averaged.

    Returns:
        Maps (B, 3, H, W) to logits (B, C, H, W) of the mean probabilities, float32; the head is as in `target_forward`.
    """
    mirrored = (False, True) if test_time.flip else (False,)
    views = len(test_time.scales) * len(mirrored)
    are_probabilities = head is not None and head.gives == "probabilities"

    def passed(pixels: Tensor) -> Tensor:
        size = Size(*pixels.shape[-2:])
        total: Tensor | None = None
        for scale in test_time.scales:
            copy = scaled(pixels, scale)
            for mirror in mirrored:
                logits = forward(copy.flip(-1)).flip(-1) if mirror else forward(copy)
                logits = resize_logits(logits, size).float()
                if views == 1:
                    return logits
                sigmoid = logits.shape[1] == 1 if head is None else head.is_sigmoid
                if are_probabilities:
                    probabilities = logits.clone()
                else:
                    probabilities = logits.sigmoid() if sigmoid else logits.softmax(dim=1)
                total = probabilities if total is None else total.add_(probabilities)
        assert total is not None  # there is at least one scale
        mean = total.div_(views)
        # A probability of 0 has no finite logit, and an infinite one would spoil its neighbours when resized.
        if are_probabilities:
            return mean
        if sigmoid:
            return torch.logit(mean, eps=SATURATED)
        return mean.clamp_(min=torch.finfo(mean.dtype).tiny).log_()

    return passed


def scaled(pixels: Tensor, factor: float) -> Tensor:
    """Return pixels (B, C, H, W) with both sides multiplied and rounded: bilinear, averaged when shrinking."""
    size = tuple(max(1, int(side * factor + 0.5)) for side in pixels.shape[-2:])
    if size == tuple(pixels.shape[-2:]):
        return pixels
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
