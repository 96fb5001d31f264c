"""Host images to network input, and logits back to image size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from adapters._torch.fitting import Placement, fitted_labels, resized_image
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import LabelMap, RgbImage


@dataclass(frozen=True)
class DeviceBatch:
    """The batch that `preprocess` hands to `infer`.

    Attributes:
        pixels: float32, (B, 3, H, W), on the device.
        content: Size of each image within it, from the top left; the rest is padding.
    """

    pixels: Tensor
    content: tuple[Size, ...]


def scaled_size(size: Size, short_edge: int | None, long_edge: int) -> Size:
    """Return a size scaled to a short side, but no longer than a long one; None scales to the long one.

    >>> scaled_size(Size(480, 640), 800, 1333), scaled_size(Size(480, 640), None, 96), scaled_size(Size(9, 1), None, 96)
    (Size(height=800, width=1067), Size(height=72, width=96), Size(height=96, width=11))
    """
    scale = long_edge / max(size)
    if short_edge is not None:
        scale = min(scale, short_edge / min(size))
    return Size(*(max(1, int(side * scale + 0.5)) for side in size))


def resize_image(image: RgbImage, size: Size | None) -> RgbImage:
    """Return an image at a size: area-averaged when both sides shrink, else bilinear; None keeps it."""
    return image if size is None else resized_image(image, size)


def resize_labels(labels: LabelMap, size: Size | None) -> LabelMap:
    """Return class ids at a size by nearest pixel centre, so that no id is invented; None keeps them."""
    return labels if size is None else fitted_labels(labels, Placement(size, size))


def common_size(arrays: Sequence[NDArray[np.uint8]]) -> Size:
    """Return the smallest size that holds every array, by its first two axes."""
    return Size(max(a.shape[0] for a in arrays), max(a.shape[1] for a in arrays))


def stack_images(images: Sequence[RgbImage], fill: Sequence[float], *, pin: bool = False) -> Tensor:
    """Stack images into uint8 (B, H, W, C) at their common size, or float32 where they are floats of 0 to 255.

    Smaller images lie at the top left; the rest is `fill`, RGB in 0-1, the colour that
    normalisation turns into about zero.
    """
    height, width = common_size(images)
    dtype = torch.uint8 if all(image.dtype == np.uint8 for image in images) else torch.float32
    batch = torch.empty((len(images), height, width, images[0].shape[2]), dtype=dtype, pin_memory=pin)
    array = batch.numpy()
    if any(image.shape[:2] != (height, width) for image in images):
        array[:] = np.round(np.asarray(fill) * 255)
    for row, image in zip(array, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return batch


def move_images(images: Sequence[RgbImage], device: torch.device) -> list[Tensor]:
    """Return images of any sizes, each (C, H, W) in the type it came in, on a device; one copy moves them all."""
    on_gpu = device.type == "cuda"
    dtype = torch.uint8 if all(image.dtype == np.uint8 for image in images) else torch.float32
    packed = torch.empty(sum(image.size for image in images), dtype=dtype, pin_memory=on_gpu)
    for part, image in zip(packed.split([image.size for image in images]), images, strict=True):
        part.view(image.shape).numpy()[...] = image
    moved = packed.to(device, non_blocking=on_gpu).split([image.size for image in images])
    return [part.view(image.shape).permute(2, 0, 1) for part, image in zip(moved, images, strict=True)]


def boxes_around(masks: Tensor) -> Tensor:
    """Return x1 y1 x2 y2 of each mask of (N, H, W), float32, (N, 4): the outer edges of its pixels.

    >>> boxes_around(torch.tensor([[[0, 0, 0], [0, 1, 1]]]))
    tensor([[1., 1., 3., 2.]])
    """
    firsts, ends = [], []
    for axis, side in ((1, masks.shape[2]), (2, masks.shape[1])):
        there = masks.bool().any(dim=axis)  # (N, side)
        places = torch.arange(side, device=masks.device)
        firsts.append(torch.where(there, places, side).amin(dim=1))
        ends.append(torch.where(there, places + 1, 0).amax(dim=1))
    return torch.stack([*firsts, *ends], dim=1).float()


def stack_labels(labels: Sequence[LabelMap], *, pin: bool = False) -> Tensor:
    """Stack class ids into uint8 (B, H, W) at their common size, padded with `IGNORE_LABEL`."""
    height, width = common_size(labels)
    batch = torch.full((len(labels), height, width), IGNORE_LABEL, dtype=torch.uint8, pin_memory=pin)
    array = batch.numpy()
    for row, label in zip(array, labels, strict=True):
        row[: label.shape[0], : label.shape[1]] = label
    return batch


class Normalisation:
    """(rgb / 255 - mean) / std on a device, in the order of `channels`.

    Pixels are bytes, a quarter of the traffic to a GPU, unless the images have finer values.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device, channels: str = "rgb"
    ) -> None:
        self._reversed = channels == "bgr"
        self._shift = torch.tensor([255 * m for m in mean], device=device).view(1, -1, 1, 1)
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(1, -1, 1, 1)

    def __call__(self, pixels: Tensor, *, channels_last: bool) -> Tensor:
        """Turn (B, H, W, C), uint8 or float32 of 0 to 255, on the device into float32 (B, C, H, W)."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        floats = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        # Floats may share their memory with what was given.
        centred = floats.sub_(self._shift) if pixels.dtype == torch.uint8 else floats - self._shift
        normalised = centred.mul_(self._scale)
        return normalised.flip(1).contiguous(memory_format=layout) if self._reversed else normalised


def resize_logits(logits: Tensor, size: Size) -> Tensor:
    """Return logits (B, C, h, w) at (B, C, height, width), bilinear with half-pixel centres.

    On a CPU by OpenCV, plane by plane: the same formula, several times faster on one thread.
    """
    if logits.shape[-2:] == tuple(size):
        return logits
    if not logits.numel():
        return logits.new_zeros((*logits.shape[:2], *size), dtype=torch.float32)
    if logits.device.type == "cpu" and not logits.requires_grad:
        planes = logits.float().contiguous().numpy()
        resized = np.empty((*planes.shape[:2], *size), dtype=np.float32)
        for index in np.ndindex(planes.shape[:2]):
            cv2.resize(planes[index], (size.width, size.height), dst=resized[index], interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(resized)
    return F.interpolate(logits.float(), size=tuple(size), mode="bilinear", align_corners=False)


Rows = Sequence[tuple[Tensor, ...]]


def to_host(rows: Rows) -> list[tuple[Any, ...]]:
    """Return tensors as arrays of their shapes and types; from a GPU one copy brings all of them, and one wait.

    A copy of its own would make the host wait for each image in turn, and its memory, which the driver may move, is
    copied twice.

    Args:
        rows: For each image of a batch the same number of tensors, on one device.

    Returns:
        Arrays in the place of the tensors. Those of a GPU share the memory of one copy.
    """
    tensors = [tensor for row in rows for tensor in row]
    arrays = _in_one_copy(tensors) if any(one.is_cuda for one in tensors) else [one.cpu().numpy() for one in tensors]
    left = iter(arrays)
    return [tuple(next(left) for _ in row) for row in rows]


def _in_one_copy(tensors: Sequence[Tensor]) -> list[Any]:
    # The widest numbers first: all then lie at multiples of their size.
    order = sorted(range(len(tensors)), key=lambda place: -tensors[place].element_size())
    parts = [tensors[place].contiguous().flatten().view(torch.uint8) for place in order]
    packed = torch.cat(parts)
    landed = torch.empty(packed.shape, dtype=torch.uint8, pin_memory=True)
    landed.copy_(packed, non_blocking=True)
    torch.cuda.current_stream(packed.device).synchronize()
    arrays: dict[int, Any] = {}
    for place, part in zip(order, landed.split([len(part) for part in parts]), strict=True):
        arrays[place] = part.view(tensors[place].dtype).view(tensors[place].shape).numpy()
    return [arrays[place] for place in range(len(tensors))]
