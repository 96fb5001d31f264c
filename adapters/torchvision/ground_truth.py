"""The instances of a split as torchvision's Mask R-CNN learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import resize_image, resize_labels
from adapters._torch.training.augment import Augment, mirror
from adapters._torch.training.batches import CACHE_BYTES
from adapters._torch.training.order import Chosen
from adapters.torchvision.stages import Fields
from bench.adapter import Split
from bench.records import Size
from bench.records.predictions import Instances, LabelMap, RgbImage


@dataclass(frozen=True)
class Example:
    """An image with its instances at the training size.

    Attributes:
        image: uint8, (H, W, 3), RGB.
        masks: uint8, (N, H, W), 1 inside; each has a pixel.
        labels: int64, (N,), numbered from 1 over the things of the task.
    """

    image: RgbImage
    masks: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def pixels(self) -> Tensor:
        """The image as uint8 (3, H, W)."""
        return torch.from_numpy(np.ascontiguousarray(self.image.transpose(2, 0, 1)))

    @property
    def fields(self) -> Fields:
        """Boxes, labels and masks as the network takes them."""
        return {
            "boxes": torch.from_numpy(boxes_around(self.masks)),
            "labels": torch.from_numpy(self.labels),
            "masks": torch.from_numpy(self.masks),
        }


def boxes_around(masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return x1 y1 x2 y2 of each mask of (N, H, W), float32, (N, 4): the outer edges of its pixels.

    >>> boxes_around(np.array([[[0, 0, 0], [0, 1, 1]]], dtype=np.uint8))
    array([[1., 1., 3., 2.]], dtype=float32)
    """
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


class DecodedInstances:
    """A split as examples at the training size, without crowds: they outline no object.

    The first images that fit `cache_bytes` are decoded here and now, so that the training clock
    does not pay for them; the others are decoded whenever they are asked for.

    Args:
        split: Split with instances as ground truth.
        things: Class id by label, less one, rising.
        size: Training size; None keeps each image's own.
        cache_bytes: Host memory for what is kept.
    """

    def __init__(
        self, split: Split, things: NDArray[np.int64], size: Size | None, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._split, self._things, self._size = split, things, size
        self._kept: list[Example] = []
        while len(self._kept) < len(split) and cache_bytes > 0:
            example = self._decode(len(self._kept))
            self._kept.append(example)
            cache_bytes -= example.image.nbytes + example.masks.nbytes

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Example:
        return self._kept[index] if index < len(self._kept) else self._decode(index)

    def _decode(self, index: int) -> Example:
        image, ground_truth = resize_image(self._split.image(index), self._size), self._split.ground_truth(index)
        if not isinstance(ground_truth, Instances):
            raise TypeError(f"instances cannot be taken from a {type(ground_truth).__name__}")
        outlined = ~ground_truth.crowd & np.isin(ground_truth.class_ids, self._things)
        masks = [resize_labels(mask.astype(np.uint8), self._size) for mask in ground_truth.masks[outlined]]
        labels = np.searchsorted(self._things, ground_truth.class_ids[outlined]) + 1
        return _example(np.ascontiguousarray(image), masks, labels)

    def batch(self, chosen: Chosen, augment: Augment | None) -> list[Example]:
        """Return the examples of a batch, mirrored and changed as the batch says."""
        triples = zip(chosen.images, chosen.mirrored, chosen.seeds, strict=True)
        return [changed(self[i], mirrored=mirrored, augment=augment, seed=seed) for i, mirrored, seed in triples]


def changed(example: Example, *, mirrored: bool, augment: Augment | None, seed: tuple[int, ...]) -> Example:
    """Return an example mirrored and augmented; every mask is changed by the draw that changes the image."""
    image, nothing = example.image, np.zeros(example.image.shape[:2], dtype=np.uint8)
    masks: list[LabelMap] = []
    for mask in (nothing, *example.masks):  # the first, for images without instances, is dropped
        image, followed = mirror(example.image, mask) if mirrored else (example.image, mask)
        if augment is not None:
            image, followed = augment(image, followed, seed=seed)
        masks.append((followed == 1).astype(np.uint8))  # what came in from outside is in no instance
    return _example(image, masks[1:], example.labels)


def _example(image: RgbImage, masks: list[LabelMap], labels: NDArray[np.int64]) -> Example:
    """Return an example without the instances that have lost their last pixel."""
    seen = np.array([bool(mask.any()) for mask in masks], dtype=np.bool_)
    kept = [np.ascontiguousarray(mask) for mask, there in zip(masks, seen, strict=True) if there]
    stacked = np.array(kept, dtype=np.uint8).reshape(len(kept), *image.shape[:2])
    return Example(image, stacked, labels[seen].astype(np.int64))
