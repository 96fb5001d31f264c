"""Decides who makes the random changes of a recipe: the threads that load, or the device that trains.

A GPU is faster at them than loaders, which it would wait for; by the same draws both come to the same. Mirroring and
cropping stay with the loaders: they make the images smaller, or leave them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adapters._torch.training.augment import Augment, augment_of, changes_of, crop_of
from bench.records import Recipe

if TYPE_CHECKING:
    from adapters._torch.training.transforms import Draw


class DeviceAugmentation:
    """Changes that the device makes; no dataclass or list, so that Lightning hands it on as it is."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        self.draws = draws


def made_on(device: torch.device) -> bool:
    """Return whether a device makes the changes itself."""
    return device.type == "cuda"


class RandomChanges:
    """The random changes of a recipe beside mirroring.

    Attributes:
        by_loader: The part that is made where images are loaded; None where that is nothing.
    """

    by_loader: Augment | None

    def __init__(self, recipe: Recipe, *, fill: tuple[float, ...], device: torch.device) -> None:
        """Prepare; arguments and errors as of `adapters._torch.training.augment.augment_of`."""
        self._on_device = changes_of(recipe, fill=fill) if made_on(device) else None
        self._pins = device.type == "cuda"
        self.by_loader = augment_of(recipe, fill=fill) if self._on_device is None else crop_of(recipe, fill=fill)

    def drawn(self, shapes: Iterable[tuple[int, ...]], seeds: Iterable[Sequence[int]]) -> DeviceAugmentation | None:
        """Draw what the device is to change of images of shapes (H, W); None where it changes nothing."""
        if self._on_device is None:
            return None
        draws = [self._on_device.draw(shape, seed) for shape, seed in zip(shapes, seeds, strict=True)]
        return DeviceAugmentation([draw.pinned() for draw in draws] if self._pins else draws)

    def make(self, later: DeviceAugmentation | None, pixels: Iterable[Tensor], labels: Iterable[Tensor]) -> None:
        """Change images (H, W, 3) and their labels (..., H, W) in place, as it was drawn."""
        if later is not None and self._on_device is not None:
            self._on_device.on_device(later.draws, pixels, labels)
