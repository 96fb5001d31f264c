"""The instances of a split as torchvision's Mask R-CNN learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import boxes_around, resize_image, resize_labels
from adapters._torch.training.augment import Augment, mirror
from adapters._torch.training.batches import CACHE_BYTES, DecodedOnce
from adapters._torch.training.order import Chosen
from adapters.torchvision.stages import Fields
from bench.adapter import Split
from bench.records import Size
from bench.records.predictions import Instances, RgbImage


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
        masks = torch.from_numpy(self.masks)
        return {"boxes": boxes_around(masks), "labels": torch.from_numpy(self.labels), "masks": masks}


def still_seen(fields: Fields) -> Fields:
    """Return fields after their masks have followed their image: boxes anew, without instances that have no pixel left.

    What came in from outside, `IGNORE_LABEL`, is in no instance.
    """
    masks = fields["masks"] == 1
    kept = masks.flatten(1).any(dim=1)
    masks = masks[kept]
    return {"boxes": boxes_around(masks), "labels": fields["labels"][kept], "masks": masks.to(torch.uint8)}


class DecodedInstances(DecodedOnce[Example]):
    """A split as examples at the training size, without crowds: they outline no object.

    Args:
        split: Split with instances as ground truth.
        things: Class id by label, less one, rising.
        size: Training size; None keeps each image's own.
        cache_bytes: Host memory for what is kept.
    """

    def __init__(
        self, split: Split, things: NDArray[np.int64], size: Size | None, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._things, self._size = things, size
        super().__init__(split, cache_bytes)

    def _decode(self, index: int) -> tuple[Example, int]:
        image, ground_truth = resize_image(self._split.image(index), self._size), self._split.ground_truth(index)
        if not isinstance(ground_truth, Instances):
            raise TypeError(f"instances cannot be taken from a {type(ground_truth).__name__}")
        outlined = ~ground_truth.crowd & np.isin(ground_truth.class_ids, self._things)
        resized = [resize_labels(mask.astype(np.uint8), self._size) for mask in ground_truth.masks[outlined]]
        masks = np.array(resized, dtype=np.bool_).reshape(-1, *image.shape[:2])
        labels = np.searchsorted(self._things, ground_truth.class_ids[outlined]) + 1
        example = _example(np.ascontiguousarray(image), masks, labels)
        return example, example.image.nbytes + example.masks.nbytes

    def batch(self, chosen: Chosen, augment: Augment | None) -> list[Example]:
        """Return the examples of a batch, mirrored and changed as the batch says."""
        triples = zip(chosen.images, chosen.mirrored, chosen.seeds, strict=True)
        return [changed(self[i], mirrored=mirrored, augment=augment, seed=seed) for i, mirrored, seed in triples]


def changed(example: Example, *, mirrored: bool, augment: Augment | None, seed: tuple[int, ...]) -> Example:
    """Return an example mirrored and augmented; every mask is changed by the draw that changes the image."""
    image, masks = mirror(example.image, example.masks) if mirrored else (example.image, example.masks)
    if augment is not None:
        image, masks = augment(image, masks, seed=seed)
    return _example(image, masks == 1, example.labels)  # what came in from outside is in no instance


def _example(image: RgbImage, masks: NDArray[np.bool_], labels: NDArray[np.int64]) -> Example:
    """Return an example without the instances that have lost their last pixel."""
    seen = masks.any(axis=(1, 2))
    return Example(image, np.ascontiguousarray(masks[seen], dtype=np.uint8), labels[seen].astype(np.int64))
