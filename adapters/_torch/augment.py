"""Changes of a training image that its mask must follow."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.predictions import LabelMap, RgbImage


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
