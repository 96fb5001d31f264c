"""Weather and light.

Source: Hendrycks & Dietterich, ICLR 2019, and the authors' `imagenet_c/corruptions.py`, whose constants these are; snow
falls by the motion kernel of Michaelis et al. Frost is laid on as published, but its crystals are drawn, for theirs are
photographs that are not free to share; `darkness` is brightness with its sign changed and is ours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.corruptions.blur import filtered, magnified, motion_kernel
from bench.data.corruptions.types import Image, by_name


def snow(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Lay falling flakes over an image that is paler for them."""
    mean, spread, zoom, least, radius, sigma, share = (
        (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    flakes = magnified(rng.normal(mean, spread, size=image.shape[:2]), zoom)
    flakes = np.clip(np.where(flakes < least, 0.0, flakes), 0, 1)
    flakes = filtered(flakes, motion_kernel(radius, sigma, rng.uniform(-135, -45)))[..., None]
    grey = (image @ (0.299, 0.587, 0.114))[..., None]
    paler = share * image + (1 - share) * np.maximum(image, grey * 1.5 + 0.5)
    return np.asarray(paler + flakes + np.rot90(flakes, 2))


def frost(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Lay crystals of ice over an image that is darker for them."""
    kept, laid = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    return np.asarray(kept * image + laid * crystals(image.shape[0], image.shape[1], rng))


def crystals(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw needles of ice at angles of 60 degrees, dense in patches, bluish white; 0 to 1, (H, W, 3)."""
    turned = rng.uniform(0, 60)
    needles = np.zeros((height, width))
    for direction in range(3):
        seeds = (rng.random((height, width)) < 0.03) * rng.uniform(0.3, 1, (height, width))
        along = filtered(seeds, motion_kernel(12, 6, turned + 60 * direction))
        needles = np.maximum(needles, along / max(float(along.max()), 1e-9))
    patches = plasma(1 << (max(height, width) - 1).bit_length(), 2.0, rng)[:height, :width]
    ice = np.clip(0.25 * patches + 1.1 * needles * patches, 0, 1)
    return np.asarray(ice[..., None] * (0.86, 0.94, 1.0))


def fog(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Lay a fractal cloud over an image, and keep its brightest value."""
    density, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity - 1]
    height, width = image.shape[:2]
    cloud = plasma(1 << (max(height, width) - 1).bit_length(), decay, rng)[:height, :width, None]
    brightest = float(image.max())
    return (image + density * cloud) * brightest / (brightest + density) if brightest else image


def brightness(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Raise the value of HSV."""
    return with_value(image, (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1])


def darkness(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Lower the value of HSV."""
    return with_value(image, -(0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1])


CORRUPTIONS = by_name(snow, frost, fog, brightness, darkness)


def with_value(image: Image, added: float) -> Image:
    """Add to the value of HSV, cut off at 0 and 1."""
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.float64)


def plasma(side: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a fractal map by the diamond-square algorithm, 0 to 1, (side, side).

    Args:
        side: A power of two.
        decay: Factor by which the noise shrinks at each finer step.
    """
    cloud = np.zeros((side, side))
    step, shake = side, 100.0

    def shaken(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total / 4 + shake * rng.uniform(-shake, shake, total.shape)

    while step >= 2:
        half = step // 2
        corners = cloud[0:side:step, 0:side:step]
        four = corners + np.roll(corners, -1, axis=0)
        four = four + np.roll(four, -1, axis=1)
        cloud[half:side:step, half:side:step] = shaken(four)
        middles = cloud[half:side:step, half:side:step]
        above = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        cloud[0:side:step, half:side:step] = shaken(above)
        beside = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        cloud[half:side:step, 0:side:step] = shaken(beside)
        step, shake = half, shake / decay
    cloud -= cloud.min()
    largest = float(cloud.max())
    return cloud / largest if largest else cloud
