"""Noise of sensors and transmission.

Source: Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR
2019, and the authors' `imagenet_c/corruptions.py`, whose constants these are.
"""

from __future__ import annotations

import numpy as np

from bench.data.corruptions.types import Image, by_name


def gaussian_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Add normal noise, the same in dark and bright: low light."""
    return image + rng.normal(scale=(0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1], size=image.shape)


def shot_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Count photons: Poisson noise, the more the fewer there are."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return rng.poisson(np.clip(image, 0, 1) * photons) / photons


def impulse_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Replace values by black or white, half each: bit errors."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    drawn = rng.random(image.shape)
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, image))


def speckle_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Add normal noise that grows with the value: coherent light, ultrasound, radar."""
    return image + image * rng.normal(scale=(0.15, 0.2, 0.35, 0.45, 0.6)[severity - 1], size=image.shape)


CORRUPTIONS = by_name(gaussian_noise, shot_noise, impulse_noise, speckle_noise)
