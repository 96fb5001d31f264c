"""Changes of a training image that its mask must follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.errors import Unsupported
from bench.records import Augmentation
from bench.records.predictions import LabelMap, RgbImage

STREAM = 7
"""Keeps the numbers drawn here apart from those that order and mirror the images, whose seeds look alike."""


def mirror(image: RgbImage, labels: LabelMap) -> tuple[RgbImage, LabelMap]:
    """Return an image, (H, W, 3), and its class ids, (H, W), mirrored left-right (views)."""
    return image[:, ::-1], labels[:, ::-1]


@lru_cache(maxsize=2)  # asked for at every step
def epoch_order(*, seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of the images in an epoch, a permutation of 0..count-1."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


@lru_cache(maxsize=2)
def epoch_flips(*, seed: int, epoch: int, count: int) -> NDArray[np.bool_]:
    """Return which images, by index, are mirrored in an epoch, each with probability one half."""
    return np.random.default_rng([seed, epoch, 1]).random(count) < 0.5


class Augmenter:
    """The random changes of a recipe, one image with its mask at a time.

    In this order: colour; then scale, rotation and warp in a single resampling; then blur and noise.
    Image and mask are sampled at the same places, so they cannot be misaligned, the image
    bilinearly and the mask at the nearest pixel, so that no id is invented. See
    `adapters._torch.training.transforms` for what each change is.

    Args:
        augmentation: How much of what.
        fill: RGB, 0-1, of what comes in from outside the image, where the mask is `IGNORE_LABEL`.

    Raises:
        Unsupported: If something is on and torchvision is not installed.
    """

    def __init__(self, augmentation: Augmentation, *, fill: tuple[float, ...]) -> None:
        self._augmentation, self._fill = augmentation, fill
        self._changes = augmentation.changes
        if self._changes:
            _import_transforms()

    def __call__(self, image: RgbImage, labels: LabelMap, *, seed: int | Sequence[int]) -> tuple[RgbImage, LabelMap]:
        """Return a changed copy at the same size, a pure function of the arguments.

        Args:
            image: uint8, (H, W, 3).
            labels: Class ids, uint8, (H, W).
            seed: Whole numbers from 0 up.

        Returns:
            uint8, (H, W, 3) and (H, W). Where nothing changes, the arrays that came in.
        """
        if not self._changes:
            return image, labels
        from adapters._torch.training.transforms import Draw, apply

        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
        return apply(Draw.of(self._augmentation, labels.shape, random), image, labels, fill=self._fill)


def _import_transforms() -> None:
    """Import what the first call needs now: it takes seconds, which no training clock should see."""
    try:
        import torchvision  # noqa: F401

        import adapters._torch.training.transforms  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"a recipe with 'augmentation' needs the package {error.name}, which is not installed. "
            "Install it, or leave 'augmentation' out of the recipe"
        ) from None
