"""The ground truth of a split as masks with classes, from which a network that classifies masks learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import resize_image, resize_labels
from adapters._torch.training.augment import Augment, mirror
from adapters._torch.training.batches import CACHE_BYTES, DecodedOnce
from adapters._torch.training.order import Chosen
from adapters.transformers.classes import Classes
from bench.adapter import Split
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import Instances, LabelMap, Panoptic, RgbImage, SemanticMap

SizeOf: TypeAlias = Callable[[Size], Size | None]

MASKS_PER_LAYER = IGNORE_LABEL
"""Ids that a layer has for masks; the next one says that no mask is there."""


@dataclass(frozen=True)
class Layers:
    """Masks with classes, as label maps in which they do not overlap.

    As label maps they are resized, mirrored and warped by what does it for semantic training.

    Attributes:
        maps: Position of a mask within its layer, uint8, (H, W); 255 = none.
        numbers: Classes of the masks of each layer, as the network numbers them.
    """

    maps: tuple[LabelMap, ...]
    numbers: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, masks: NDArray[np.bool_], numbers: list[int], size: Size) -> Layers:
        """Lay each mask of (N, H, W) into the first layer where its pixels are free."""
        maps: list[LabelMap] = []
        classes: list[list[int]] = []
        for mask, number in zip(masks, numbers, strict=True):
            free = (
                i
                for i, layer in enumerate(maps)
                if len(classes[i]) < MASKS_PER_LAYER and not (mask & (layer != IGNORE_LABEL)).any()
            )
            place = next(free, len(maps))
            if place == len(maps):
                maps.append(np.full(size, IGNORE_LABEL, dtype=np.uint8))
                classes.append([])
            maps[place][mask] = len(classes[place])
            classes[place].append(number)
        return cls(tuple(maps), tuple(map(tuple, classes)))

    @property
    def nbytes(self) -> int:
        """Return the size of the maps."""
        return sum(layer.nbytes for layer in self.maps)

    def padded(self, size: Size) -> tuple[Tensor, Tensor]:
        """Return the maps, uint8 (L, H, W), padded to a size, and layer, position and class of each mask, (N, 3)."""
        maps = torch.full((len(self.maps), *size), IGNORE_LABEL, dtype=torch.uint8)
        for row, layer in zip(maps.numpy(), self.maps, strict=True):
            row[: layer.shape[0], : layer.shape[1]] = layer
        places = [(i, p, number) for i, own in enumerate(self.numbers) for p, number in enumerate(own)]
        return maps, torch.tensor(places, dtype=torch.int64).view(-1, 3)

    def masks(self, size: Size) -> tuple[Tensor, Tensor]:
        """Return the masks that have pixels, bool (N, H, W), and their classes, int64 (N,), padded to a size."""
        return masks_in(*self.padded(size))


def masks_in(maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return the masks that have pixels, bool (N, H, W), and their classes, int64 (N,), of padded `Layers`."""
    layers, positions, numbers = places.unbind(dim=1)
    masks = maps[layers] == positions[:, None, None]
    kept = masks.flatten(1).any(dim=1)
    return masks[kept], numbers[kept]


def layers_of(ground_truth: SemanticMap | Instances | Panoptic, classes: Classes) -> Layers:
    """Return a ground truth's masks: one per class, instance or segment that the network knows; crowds are left out."""
    number_of = classes.numbers()
    if isinstance(ground_truth, SemanticMap):
        present = [c for c in np.unique(ground_truth.labels).tolist() if c in number_of]
        pairs = [(ground_truth.labels == c, number_of[c]) for c in present]
    elif isinstance(ground_truth, Panoptic):
        known = [s for s in ground_truth.segments if not s.crowd and s.class_id in number_of]
        pairs = [(ground_truth.segment_ids == s.id, number_of[s.class_id]) for s in known]
    else:
        ids = ground_truth.class_ids.tolist()
        kept = [i for i, crowd in enumerate(ground_truth.crowd) if not crowd and ids[i] in number_of]
        pairs = [(ground_truth.masks[i], number_of[ids[i]]) for i in kept]
    masks = np.array([mask for mask, _ in pairs], dtype=np.bool_).reshape(-1, *ground_truth.size)
    return Layers.of(masks, [number for _, number in pairs], ground_truth.size)


class DecodedMasks(DecodedOnce[tuple[RgbImage, Layers]]):
    """A split as images, uint8 (H, W, 3), and layers of masks at the training size.

    Args:
        split: Split with ground truth in the form of the task.
        size_of: The training size of an image of a size; None keeps it.
        cache_bytes: Host memory for what is kept.
    """

    def __init__(self, split: Split, classes: Classes, size_of: SizeOf, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._classes, self._size_of = classes, size_of
        super().__init__(split, cache_bytes)

    def _decode(self, index: int) -> tuple[tuple[RgbImage, Layers], int]:
        image, ground_truth = self._split.image(index), self._split.ground_truth(index)
        if not isinstance(ground_truth, SemanticMap | Instances | Panoptic):
            raise TypeError(f"masks with classes cannot be taken from a {type(ground_truth).__name__}")
        size = self._size_of(Size(*image.shape[:2]))
        layers = layers_of(ground_truth, self._classes)
        resized = Layers(tuple(resize_labels(layer, size) for layer in layers.maps), layers.numbers)
        image = np.ascontiguousarray(resize_image(image, size))
        return (image, resized), image.nbytes + resized.nbytes

    def batch(self, chosen: Chosen, augment: Augment | None) -> list[tuple[RgbImage, Layers]]:
        """Return the images of a batch with their masks, mirrored and changed as the batch says."""
        triples = zip(chosen.images, chosen.mirrored, chosen.seeds, strict=True)
        return [changed(*self[i], mirrored=mirrored, augment=augment, seed=seed) for i, mirrored, seed in triples]


def changed(
    image: RgbImage, layers: Layers, *, mirrored: bool, augment: Augment | None, seed: tuple[int, ...]
) -> tuple[RgbImage, Layers]:
    """Return an image with its masks, mirrored and augmented; every layer follows the image."""
    maps = np.array(layers.maps, dtype=np.uint8).reshape(-1, *image.shape[:2])
    if mirrored:
        image, maps = mirror(image, maps)
    if augment is not None:
        image, maps = augment(image, maps, seed=seed)
    return image, Layers(tuple(maps), layers.numbers)
