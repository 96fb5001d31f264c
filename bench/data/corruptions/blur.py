"""Blur of lens, motion and glass.

Source: Hendrycks & Dietterich, ICLR 2019, and the authors' `imagenet_c/corruptions.py`, whose constants these are, in
pixels. Two departures: motion is blurred by the kernel of Michaelis et al. (`imagecorruptions`), for theirs needs
ImageMagick; and glass takes each pixel from its neighbourhood at once, where theirs swaps pixels one after the other in
a loop of Python.
"""

from __future__ import annotations

from math import ceil, cos, hypot, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.corruptions.types import Image, by_name


def gaussian_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Blur by a normal kernel."""
    return blurred(image, (1, 2, 3, 4, 6)[severity - 1])


def defocus_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Blur by a disc, as a lens that is out of focus."""
    radius, soft = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    reach = np.arange(-max(8, radius), max(8, radius) + 1)
    disc = (reach[:, None] ** 2 + reach[None, :] ** 2 <= radius**2).astype(np.float64)
    side = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disc, (side, side), sigmaX=soft)
    return filtered(image, kernel / kernel.sum())


def glass_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Move pixels at random within a small square, between two blurs: frosted glass."""
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity - 1]
    seen = blurred(image, sigma)
    height, width = seen.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    for _ in range(times):
        moved = rng.integers(-reach, reach, size=(2, height, width))
        seen = seen[np.clip(rows + moved[0], 0, height - 1), np.clip(columns + moved[1], 0, width - 1)]
    return blurred(seen, sigma)


def motion_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Blur along a line of any direction within 45 degrees of the horizontal."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    return filtered(image, motion_kernel(radius, sigma, rng.uniform(-45, 45)))


def zoom_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Average over magnifications, as a camera that comes nearer."""
    most, step = ((0.11, 0.01), (0.16, 0.01), (0.21, 0.02), (0.26, 0.02), (0.31, 0.03))[severity - 1]
    factors = np.arange(1, 1 + most, step)
    total = image.copy()
    for factor in factors:
        total += magnified(image, float(factor))
    return total / (len(factors) + 1)


CORRUPTIONS = by_name(gaussian_blur, defocus_blur, glass_blur, motion_blur, zoom_blur)


def blurred(image: Image, sigma: float) -> Image:
    """Blur by a normal kernel that is cut at four standard deviations; the edge is repeated."""
    side = 2 * int(4 * sigma + 0.5) + 1
    return np.asarray(cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE))


def filtered(image: Image, kernel: NDArray[np.float64]) -> Image:
    """Correlate every channel with a kernel; the edge is repeated."""
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def motion_kernel(radius: int, sigma: float, degrees: float) -> NDArray[np.float64]:
    """Half a normal curve along a ray of 2 * radius + 1 pixels, as a square kernel that sums to 1."""
    width = 2 * radius + 1
    weights = np.exp(-(np.arange(width) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    down, right = width * sin(radians(degrees)), width * cos(radians(degrees))
    length = hypot(down, right)
    kernel = np.zeros((2 * width + 1, 2 * width + 1))
    for step, weight in enumerate(weights):
        kernel[width + ceil(step * down / length - 0.5), width + ceil(step * right / length - 0.5)] += weight
    return kernel


def magnified(image: Image, factor: float) -> Image:
    """Magnify about the centre at the same size, bilinearly."""
    height, width = image.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[factor, 0, x - factor * x], [0, factor, y - factor * y]])
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
