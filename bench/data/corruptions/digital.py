"""Imitates what cameras and files do to an image.

Source: Hendrycks & Dietterich, ICLR 2019, and the authors' `imagenet_c/corruptions.py`, whose constants these are.
"""

from __future__ import annotations

import cv2
import numpy as np

from bench.data.corruptions.types import Image, by_name


def contrast(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Pull every channel towards its mean over the image."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray((image - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1] + mean)


def saturate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Change the saturation of HSV: towards grey at 1 and 2, towards pure colours from 3 on."""
    factor, added = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))[severity - 1]
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + added, 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.float64)


def pixelate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 - nothing is random
    """Average over larger pixels."""
    height, width = image.shape[:2]
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    small = cv2.resize(image, (max(1, int(width * share)), max(1, int(height * share))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def jpeg_compression(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001
    """Write as JPEG of low quality and read it back."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    stored = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    _, written = cv2.imencode(".jpg", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(written, cv2.IMREAD_COLOR)
    assert read is not None  # it was written a line above
    return cv2.cvtColor(read, cv2.COLOR_BGR2RGB).astype(np.float64) / 255


CORRUPTIONS = by_name(contrast, saturate, pixelate, jpeg_compression)
