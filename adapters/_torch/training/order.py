"""Decides which images make which batch: a pure function of the seed and the batch's place.

A resumed training therefore sees what an uninterrupted one would have seen, and every framework
sees the same images in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adapters._torch.training.augment import epoch_flips, epoch_order


@dataclass(frozen=True)
class Chosen:
    """The images of a batch.

    Attributes:
        images: Positions in the split, in order.
        mirrored: True for each image that is mirrored left-right.
        seeds: Seed, for each image, of everything else that is drawn for it.
    """

    images: tuple[int, ...]
    mirrored: tuple[bool, ...]
    seeds: tuple[tuple[int, ...], ...]

    def share(self, rank: int, ranks: int) -> Chosen:
        """Return every `ranks`-th image, from the `rank`-th on."""
        return Chosen(self.images[rank::ranks], self.mirrored[rank::ranks], self.seeds[rank::ranks])


class ImageOrder:
    """The batches of a training.

    An epoch is a seeded permutation cut into whole batches; the images that are left over wait for
    the next epoch's permutation, for a batch of one or two would upset batch normalisation. A split
    smaller than a batch is one batch.

    Args:
        count: Images of the split, at least one.
        accumulate: Batches per optimiser step.
        seed: Seed of the order and of the mirroring.
        flip: True if images are mirrored, each with probability one half.
        present: True for each class that an image shows, bool, (count, K). With it images are drawn with
            replacement, for each place first one of the classes that are there, then one of the
            images that show it: "class-aware sampling" of Shen, Lin and Huang, Relay
            Backpropagation (2016, https://arxiv.org/abs/1512.05830), section 3.
    """

    def __init__(
        self,
        count: int,
        *,
        batch_size: int,
        seed: int,
        flip: bool,
        accumulate: int = 1,
        present: NDArray[np.bool_] | None = None,
    ) -> None:
        self.batch_size, self.accumulate = min(batch_size, count), accumulate
        self._count, self._seed, self._flip = count, seed, flip
        self._per_epoch = count // self.batch_size
        self.steps_per_epoch = max(1, self._per_epoch // accumulate)
        self._balanced = None if present is None else lru_cache(maxsize=2)(_Balanced(present, seed))

    @property
    def images_per_step(self) -> int:
        """Images that an optimiser step sees."""
        return self.batch_size * self.accumulate

    def batch(self, step: int, part: int = 0) -> Chosen:
        """Return the images of a batch: of which optimiser step, and which of its `accumulate` parts, both from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = (position * self.accumulate + part) % self._per_epoch * self.batch_size
        images = self._order(epoch)[start : start + self.batch_size]
        flips = epoch_flips(seed=self._seed, epoch=epoch, count=self._count)
        return Chosen(
            images=tuple(int(i) for i in images),
            mirrored=tuple(self._flip and bool(flips[i]) for i in images),
            seeds=tuple((self._seed, step, part, place) for place in range(len(images))),
        )

    def of_step(self, step: int) -> tuple[int, ...]:
        """Return positions of all images of an optimiser step."""
        return tuple(image for part in range(self.accumulate) for image in self.batch(step, part).images)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._balanced is not None:
            return self._balanced(epoch)
        return epoch_order(seed=self._seed, epoch=epoch, count=self._count)


class _Balanced:
    """Draws an epoch by class, then by image."""

    def __init__(self, present: NDArray[np.bool_], seed: int) -> None:
        self._of_class = [np.flatnonzero(column) for column in present.T if column.any()]
        self._count, self._seed = len(present), seed

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng([self._seed, epoch, 3])
        if not self._of_class:  # nothing is labelled: all images are alike
            return random.integers(self._count, size=self._count)
        classes = random.integers(len(self._of_class), size=self._count)
        return np.array([random.choice(self._of_class[c]) for c in classes], dtype=np.int64)
