"""Carries out the changes of an `Augmentation`, on torchvision's transforms and its typed tensors.

Every number is drawn beforehand, so nothing here touches a global random state, and switching one
change on leaves the draws of the others as they were.

* Scale: a factor whose logarithm is uniform, so that halving is as likely as doubling; then a part
  of the frame's size is taken out, or the smaller image put somewhere into the frame. An image that
  shrinks is blurred first, by half a pixel of standard deviation for each pixel that it loses, as
  in scikit-image's `resize`: without, fine texture would turn into patterns that are not there.
* Rotation about the centre of the frame.
* Elastic: displacements drawn from a normal distribution on a 3 x 3 grid over the frame, with
  bicubic interpolation between; Ronneberger, Fischer, Brox, U-Net (2015), section 3.1,
  https://arxiv.org/abs/1505.04597. The standard deviation is uniform up to the largest.
* Colour: brightness, contrast, saturation and hue in random order, as torchvision's `ColorJitter`.
* Blur and noise: Gaussian, standard deviations uniform up to the largest.

Images per second of processor time, measured on one thread (AMD EPYC, torch 2.15) with square images
of 96, 256 and 512 pixels: enlargement, rotation or warp about 1200, 350 and 95; reduction by half
700, 210 and 55; colour 880, 195 and 57; blur 1200, 370 and 83; noise 2100, 390 and 100; all of them
310, 85 and 22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as V

from bench.records import IGNORE_LABEL, Augmentation
from bench.records.predictions import LabelMap, RgbImage

CONTROL_POINTS = 3
"""Along each side of the grid that an elastic change is drawn on."""

MASKS_AT_ONCE = 16
"""Masks that are resampled in one call, in which each is four bytes a pixel: bounds the memory of crowded images."""

HUE_SHARE = 0.1
"""Largest shift of the hue, in turns of the colour circle, at `colour: 1`."""


@dataclass(frozen=True)
class Draw:
    """Hold what happens to one image; None where the augmentation has it off.

    Attributes:
        shape: (H, W) of the frame.
        displacement: Offset from each pixel of the frame to the place that it shows, float32, (1, H, W, 2): x and y, in
            units of half the frame, which are torchvision's.
        shrink: Factor by which the image becomes smaller, at least 1.
        colour: Factors of brightness, contrast and saturation, and the shift of the hue.
        colour_order: Permutation of 0..3: the order in which these are applied.
        blur_px: Standard deviation, pixels.
        noise: Noise to be added, float32, (3, H, W), full range = 1.
    """

    shape: tuple[int, int]
    displacement: torch.Tensor | None
    shrink: float
    colour: NDArray[np.float64] | None
    colour_order: NDArray[np.int64]
    blur_px: float
    noise: torch.Tensor | None

    @staticmethod
    def of(augmentation: Augmentation, shape: tuple[int, ...], random: np.random.Generator) -> Draw:
        """Draw all that an augmentation leaves to chance for a frame of shape (H, W)."""
        level, turn, warp, blur, noise = random.random(5)
        place, colour = random.random(2), random.random(4)
        order, points = random.permutation(4), random.standard_normal((CONTROL_POINTS, CONTROL_POINTS, 2))
        low, high = augmentation.scale or (1.0, 1.0)
        factor = float(low * (high / low) ** level)
        radians = math.radians((2 * turn - 1) * augmentation.rotate_deg)
        points *= warp * augmentation.elastic_px
        spread = (2 * colour - 1) * augmentation.colour
        deviation, (height, width) = noise * augmentation.noise, shape
        displacement = added = None
        if augmentation.moves:
            field = _field(shape, factor, place, radians, points) * np.array([2 / width, 2 / height], np.float32)
            displacement = torch.from_numpy(field)[None]
        if deviation:
            added = torch.from_numpy(np.float32(deviation) * random.standard_normal((3, *shape), np.float32))
        return Draw(
            shape=(height, width),
            displacement=displacement,
            shrink=max(1.0, 1 / factor),
            colour=np.append(1 + spread[:3], HUE_SHARE * spread[3]) if augmentation.colour else None,
            colour_order=order,
            blur_px=blur * augmentation.blur_px,
            noise=added,
        )

    def pinned(self) -> Draw:
        """Return the same in memory that a GPU copies from by itself."""
        of_pixels = (self.displacement, self.noise)
        displacement, noise = (None if tensor is None else tensor.pin_memory() for tensor in of_pixels)
        return replace(self, displacement=displacement, noise=noise)


def apply(draw: Draw, image: RgbImage, labels: LabelMap, *, fill: tuple[float, ...]) -> tuple[RgbImage, LabelMap]:
    """Return an image, (H, W, 3), uint8 or float32 as it came, and its labels, uint8 (..., H, W), changed as drawn.

    Args:
        draw: The changes as they were drawn.
        image: uint8, or float32 of 0 to 255, (H, W, 3).
        labels: Class ids, uint8, (H, W), or N maps of ids, (N, H, W).
        fill: RGB, 0-1, of what comes in from outside, where labels become `IGNORE_LABEL`.
    """
    pixels, ids = (torch.from_numpy(np.ascontiguousarray(array)) for array in (image, labels))
    pixels, ids = changed(draw, pixels, ids, fill=fill)
    return pixels.numpy(), ids.numpy()


def changed(
    draw: Draw, image: torch.Tensor, labels: torch.Tensor, *, fill: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same of tensors, on the device where they lie; arguments as of `apply`."""
    values = image.permute(2, 0, 1).to(torch.float32, copy=True, memory_format=torch.contiguous_format).div_(255)
    pixels: torch.Tensor = tv_tensors.Image(values)
    if draw.colour is not None:
        pixels = _recoloured(pixels, draw.colour, draw.colour_order)
    if draw.displacement is not None:
        pixels = _blurred(pixels, (draw.shrink - 1) / 2)
        pixels, labels = _moved(pixels, labels, draw.displacement.to(image.device, non_blocking=True), fill)
    pixels = _blurred(pixels, draw.blur_px).as_subclass(torch.Tensor)
    if draw.noise is not None:
        pixels = pixels + draw.noise.to(image.device, non_blocking=True)
    values = pixels.mul(255).clamp_(0, 255)
    values = values.round_().to(torch.uint8) if image.dtype == torch.uint8 else values
    return values.permute(1, 2, 0).contiguous(), labels


def _field(
    shape: tuple[int, ...], factor: float, place: NDArray[np.float64], radians: float, points: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return how far from each pixel of the frame lies what it shows, float32, (H, W, 2): x and y, pixels.

    Args:
        shape: (H, W).
        place: Place of the part that is taken out, or of the smaller image: x and y, 0-1.
        points: Displacements at the control points, (3, 3, 2), pixels.
    """
    y, x = np.indices(shape, dtype=np.float32)
    last_y, last_x = (np.float32(side - 1) for side in shape)
    across, down = x - last_x / 2, y - last_y / 2
    cosine, sine = np.float32(math.cos(radians)), np.float32(math.sin(radians))
    from_x = cosine * across - sine * down + last_x / 2
    from_y = sine * across + cosine * down + last_y / 2
    if points.any():
        weights_y, weights_x = (_bicubic(side) for side in shape)
        from_x += weights_y @ points[..., 0].astype(np.float32) @ weights_x.T
        from_y += weights_y @ points[..., 1].astype(np.float32) @ weights_x.T
    # Centres of the outermost pixels are the ends: an enlarged image is sampled nowhere outside.
    start_x, start_y = (
        np.float32(place[0] * (1 - 1 / factor)) * last_x,
        np.float32(place[1] * (1 - 1 / factor)) * last_y,
    )
    zoom = np.float32(1 / factor)
    return np.stack([zoom * from_x + start_x - x, zoom * from_y + start_y - y], axis=-1)


@lru_cache(maxsize=8)
def _bicubic(side: int) -> NDArray[np.float32]:
    """Return the weight of each control point in each of `side` places, (side, 3); the outer points are at the ends."""
    one_each = torch.eye(CONTROL_POINTS)[None, None]
    weights = F.interpolate(one_each, size=(side, CONTROL_POINTS), mode="bicubic", align_corners=True)
    return np.asarray(weights[0, 0].numpy())


def _recoloured(image: tv_tensors.Image, by: NDArray[np.float64], order: NDArray[np.int64]) -> tv_tensors.Image:
    adjustments = (V.adjust_brightness, V.adjust_contrast, V.adjust_saturation, V.adjust_hue)
    for position in order:
        image = adjustments[position](image, float(by[position]))
    return image


def _moved(
    image: torch.Tensor, labels: torch.Tensor, displacement: torch.Tensor, fill: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample an image, (3, H, W), and its labels, (H, W) or (N, H, W), where a field points."""
    background = torch.tensor(fill, device=image.device).view(3, 1, 1)
    # Sampled as the difference from the background, so that outside is 0: torchvision's own `fill`
    # weighs the image twice where a pixel lies half outside, which leaves a dark rim.
    moved = V.elastic(tv_tensors.wrap(image - background, like=image), displacement) + background
    if labels.numel():
        planes = labels.reshape(-1, *labels.shape[-2:]).split(MASKS_AT_ONCE)
        parts = [V.elastic(tv_tensors.Mask(some), displacement, fill=IGNORE_LABEL) for some in planes]
        labels = torch.cat([part.as_subclass(torch.Tensor) for part in parts]).view(labels.shape)
    return moved, labels


def _blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur out to three standard deviations, one axis after the other."""
    if sigma < 0.05:  # the centre then has all the weight that a byte can tell
        return image
    for axis, side in enumerate((image.shape[-1], image.shape[-2])):
        reach = min(math.ceil(3 * sigma), side - 1)  # reflection ends at the far border
        kernel, sigmas = [1, 1], [sigma, sigma]
        kernel[axis] = 2 * reach + 1
        image = V.gaussian_blur(image, kernel, sigmas)
    return image
