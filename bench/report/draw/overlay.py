"""An image tinted with the colours of its classes, for loggers and previews alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.tint import mixed, palette_of
from bench.records import ClassSpec, label_dtype
from bench.report.draw.contact_sheet import Tile, striped


def overlay(image: NDArray[np.uint8], tile: Tile, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """Return the image tinted with its classes' colours, (H, W, 3); pixels of no class keep their own."""
    painted = mixed(image, tile.coloured(palette_of(classes)), tile.labels < len(classes))
    if tile.outlines is not None:
        painted[tile.outlines] = 0
    return painted


def overlay_with_void(image: NDArray[np.uint8], tile: Tile, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """Return the image as `overlay` does, with white and grey stripes where no class is named."""
    void = tile.labels >= len(classes)
    named = np.where(void, len(classes), tile.labels).astype(label_dtype(len(classes) + 1))
    white = ClassSpec(name="void", colour=(255, 255, 255))
    return striped(overlay(image, Tile(named, tile.outlines), (*classes, white)), void)
