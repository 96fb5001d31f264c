"""Training batches from a `bench.adapter.Split`: decoded once, kept as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from adapters._torch.fitting import fitted_labels, place
from adapters._torch.images import stack_images, stack_labels
from adapters._torch.input import InputContract
from adapters._torch.training.augment import Augment, mirror
from adapters._torch.training.order import Chosen
from bench.adapter import Split
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import LabelMap, RgbImage

UNCHANGED = InputContract((0.5,), (0.25,))
"""Images are resized, whatever their shape."""

CACHE_BYTES = 2 * 1024**3
"""Host memory that the decoded images of one split may take; what does not fit is decoded again."""


Seen = TypeVar("Seen")


class DecodedOnce(Dataset[Seen]):
    """A split as what a training sees of each image.

    The first images that fit `cache_bytes` are decoded here and now, so that the training clock
    does not pay for them; the others are decoded whenever they are asked for.
    """

    def __init__(self, split: Split, cache_bytes: int) -> None:
        self._split = split
        self._kept: list[Seen] = []
        while len(self._kept) < len(split) and cache_bytes > 0:
            seen, taken = self._decode(len(self._kept))
            self._kept.append(seen)
            cache_bytes -= taken

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Seen:
        return self._kept[index] if index < len(self._kept) else self._decode(index)[0]

    def _decode(self, index: int) -> tuple[Seen, int]:
        """Return what is seen of an image, and the bytes it takes."""
        raise NotImplementedError


class DecodedSplit(DecodedOnce[tuple[RgbImage, LabelMap]]):
    """A split as (image uint8 (H, W, C), labels uint8 (H, W)) pairs, fitted into the training size."""

    def __init__(
        self,
        split: Split,
        size: Size | None,
        contract: InputContract = UNCHANGED,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._size, self._contract = size, contract
        super().__init__(split, cache_bytes)

    def _decode(self, index: int) -> tuple[tuple[RgbImage, LabelMap], int]:
        image, contract = self._split.image(index), self._contract
        # Tiles are seen at prediction; a training sees what its recipe asks for.
        fit = "stretch" if contract.fit == "tile" else contract.fit
        placement = place(Size(*image.shape[:2]), self._size, fit)
        seen = np.ascontiguousarray(contract.fed(image, placement))
        labels = np.ascontiguousarray(fitted_labels(self._split.semantic(index), placement))
        return (seen, labels), seen.nbytes + labels.nbytes


def load_batch(split: DecodedSplit, chosen: Chosen, augment: Augment | None) -> list[tuple[RgbImage, LabelMap]]:
    """Return the images of a batch with their class ids, mirrored and changed as the batch says."""
    pairs = []
    for index, mirrored, seed in zip(chosen.images, chosen.mirrored, chosen.seeds, strict=True):
        image, labels = mirror(*split[index]) if mirrored else split[index]
        pairs.append((image, labels) if augment is None else augment(image, labels, seed=seed))
    return pairs


def class_pixels(masks: Iterable[LabelMap], classes: int) -> NDArray[np.int64]:
    """Count the labelled pixels of each class: one row of K counts per mask."""
    rows = [np.bincount(labels[labels != IGNORE_LABEL], minlength=classes)[:classes] for labels in masks]
    return np.array(rows, dtype=np.int64).reshape(-1, classes)


def as_batch(
    pairs: list[tuple[RgbImage, LabelMap]], fill: tuple[float, ...], *, pin: bool = False
) -> tuple[Tensor, Tensor]:
    """Stack pairs into pixels uint8 (B, H, W, 3) and labels uint8 (B, H, W) at their common size."""
    images, labels = zip(*pairs, strict=True)
    return stack_images(images, fill, pin=pin), stack_labels(labels, pin=pin)
