"""Training batches from a `bench.adapter.Split`: decoded once, kept as bytes, drawn by step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from adapters._torch.augment import epoch_flips, epoch_order, mirror
from adapters._torch.images import resize_image, resize_labels, stack_images, stack_labels
from bench.adapter import Split
from bench.predictions import LabelMap, RgbImage
from bench.records import Size

CACHE_BYTES = 2 * 1024**3
"""Host memory that the decoded images of one split may take; what does not fit is decoded again."""


class DecodedSplit(Dataset[tuple[RgbImage, LabelMap]]):
    """A split as (image uint8 (H, W, 3), labels uint8 (H, W)) pairs at the training size.

    The first images that fit `cache_bytes` are decoded here and now, so that the training clock
    does not pay for them; the others are decoded whenever they are asked for.
    """

    def __init__(self, split: Split, size: Size | None, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._split, self._size = split, size
        self._kept: list[tuple[RgbImage, LabelMap]] = []
        while len(self._kept) < len(split) and cache_bytes > 0:
            image, labels = self._decode(len(self._kept))
            self._kept.append((np.ascontiguousarray(image), np.ascontiguousarray(labels)))
            cache_bytes -= image.nbytes + labels.nbytes

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[RgbImage, LabelMap]:
        return self._kept[index] if index < len(self._kept) else self._decode(index)

    def _decode(self, index: int) -> tuple[RgbImage, LabelMap]:
        image = resize_image(self._split.image(index), self._size)
        return image, resize_labels(self._split.semantic(index), self._size)


class TrainingBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches; the batch of a step is a pure function of the seed and the step.

    An epoch is a seeded permutation cut into whole batches; the images that are left over wait for
    the next epoch's permutation, for a batch of one or two would upset batch normalisation. A split
    smaller than a batch is one batch.
    """

    def __init__(
        self,
        split: DecodedSplit,
        *,
        batch_size: int,
        seed: int,
        flip: bool,
        fill: tuple[float, float, float],
        first_step: int = 0,
        pin: bool = False,
    ) -> None:
        self._split, self._seed, self._flip = split, seed, flip
        self._fill, self.first_step, self._pin = fill, first_step, pin
        self._batch_size = min(batch_size, len(split))
        self.steps_per_epoch = len(split) // self._batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        step = self.first_step
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Pixels uint8 (B, H, W, 3) and labels uint8 (B, H, W) of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        count = len(self._split)
        start = position * self._batch_size
        chosen = epoch_order(seed=self._seed, epoch=epoch, count=count)[start : start + self._batch_size]
        mirrored = epoch_flips(seed=self._seed, epoch=epoch, count=count) if self._flip else np.zeros(count, np.bool_)
        pairs = [mirror(*self._split[int(i)]) if mirrored[i] else self._split[int(i)] for i in chosen]
        return as_batch(pairs, self._fill, pin=self._pin)


def as_batch(
    pairs: list[tuple[RgbImage, LabelMap]], fill: tuple[float, float, float], *, pin: bool = False
) -> tuple[Tensor, Tensor]:
    """Stack pairs into pixels uint8 (B, H, W, 3) and labels uint8 (B, H, W) at their common size."""
    images, labels = zip(*pairs, strict=True)
    return stack_images(images, fill, pin=pin), stack_labels(labels, pin=pin)
