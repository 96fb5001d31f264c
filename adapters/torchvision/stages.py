"""A forward pass of torchvision's Mask R-CNN, cut where the harness's stages are.

`MaskRCNN.forward` resizes, normalises and pads at its beginning and pastes masks at its end. These
functions call its own pieces, `transform`, `backbone`, `rpn` and `roi_heads`, in its order. The NMS
of boxes is part of the ROI heads and so of `infer`, as in Detectron2; in YOLO it is part of
`postprocess`. Only end-to-end times compare across frameworks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN

from adapters._torch.images import to_host
from bench.records import Size
from bench.records.predictions import Instances

Fields: TypeAlias = dict[str, Tensor]
"""Tensors of the instances of an image: `boxes` (N, 4) as x1 y1 x2 y2, `labels` (N,) from 1, `scores` (N,),
and `masks`: as the network finds them (N, 1, 28, 28) within their boxes, in a ground truth (N, H, W)."""

MASK_THRESHOLD = 0.5
"""Probability from which a pixel belongs to an instance."""


def network_input(
    model: MaskRCNN, images: Sequence[Tensor], ground_truths: Sequence[Fields] | None = None, *, resize: bool
) -> tuple[ImageList, list[Fields] | None]:
    """Normalise images, resize them as torchvision does if asked to, and pad them together.

    Args:
        images: Each float32, (3, H, W), RGB in 0-1, on the device.
        ground_truths: Ground truths of each image; they are resized with it.
        resize: True brings the short edge to the transform's size.
    """
    transform = model.transform
    mean, std = _constants(tuple(transform.image_mean), tuple(transform.image_std), images[0].device)
    scaled = [(image - mean) / std for image in images]
    followed = None if ground_truths is None else [dict(ground_truth) for ground_truth in ground_truths]
    if resize:
        both = [transform.resize(image, followed and followed[i]) for i, image in enumerate(scaled)]
        scaled = [image for image, _ in both]
    sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in scaled]
    return ImageList(transform.batch_images(scaled, transform.size_divisible), sizes), followed


@lru_cache(maxsize=8)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation on a device, (3, 1, 1); the transform itself copies them for every image."""
    with torch.inference_mode(mode=False):
        return torch.tensor(mean, device=device).view(-1, 1, 1), torch.tensor(std, device=device).view(-1, 1, 1)


def detections(model: MaskRCNN, images: ImageList) -> list[Fields]:
    """Return boxes after NMS, with labels, scores and masks within their boxes, at the size of the input."""
    features = model.backbone(images.tensors)
    proposals, _ = model.rpn(images, features, None)
    found: list[Fields] = model.roi_heads(features, proposals, images.image_sizes, None)[0]
    return found


def losses(model: MaskRCNN, images: ImageList, ground_truths: list[Fields]) -> dict[str, Tensor]:
    """Return the network's own five losses, in training mode."""
    features = model.backbone(images.tensors)
    proposals, of_proposals = model.rpn(images, features, ground_truths)
    _, of_heads = model.roi_heads(features, proposals, images.image_sizes, ground_truths)
    return {**of_heads, **of_proposals}


def instances(
    model: MaskRCNN,
    found: Sequence[Fields],
    input_sizes: Sequence[tuple[int, int]],
    sizes: Sequence[Size],
    things: NDArray[np.int64],
) -> list[Instances]:
    """Paste masks at the original size and move them to the host, in two copies whatever the number of images.

    Args:
        found: Fields of the instances found in each image; stays as it is.
        input_sizes: Size of each image in the network's input.
        sizes: Original size of each image.
        things: Class id by label, less one.
    """
    of_boxes = ("boxes", "labels", "scores")
    # Pasting reads the place of every box on the host: they come first, and together.
    known = to_host([tuple(one[name] for name in of_boxes) for one in found])
    masks = to_host(
        [
            (_pasted(model, one, boxes, input_size, size),)
            for one, (boxes, *_), input_size, size in zip(found, known, input_sizes, sizes, strict=True)
        ]
    )
    return [
        Instances.found(inside, things[labels - 1], scores)
        for (_, labels, scores), (inside,) in zip(known, masks, strict=True)
    ]


def _pasted(
    model: MaskRCNN, found: Fields, boxes: NDArray[np.float32], input_size: tuple[int, int], size: Size
) -> Tensor:
    """Return masks at the original size, bool (N, H, W), on their device."""
    # One image at a time: pasted probabilities are floats, and only their threshold is kept.
    fields = {**found, "boxes": torch.from_numpy(boxes)}
    (pasted,) = model.transform.postprocess([fields], [input_size], [tuple(size)])
    masks: Tensor = pasted["masks"][:, 0] >= MASK_THRESHOLD
    return masks
