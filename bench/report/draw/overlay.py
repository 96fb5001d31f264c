"""An image tinted with the colours of its classes, for loggers and previews alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.records import ClassSpec
from bench.report.draw.stage_times import Tile

UNPAINTED = 255

OVERLAY = 0.5
"""Share of a class's colour in a pixel of an overlay."""


def overlay(image: NDArray[np.uint8], tile: Tile, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """The image tinted with its classes' colours, (H, W, 3); pixels of no class keep their own."""
    palette = np.zeros((UNPAINTED + 1, 3), dtype=np.uint8)
    palette[: len(classes)] = [spec.colour for spec in classes]
    tinted = (1 - OVERLAY) * image + OVERLAY * tile.coloured(palette)
    painted = np.where((tile.labels < len(classes))[..., None], np.round(tinted), image)
    if tile.outlines is not None:
        painted[tile.outlines] = 0
    return np.asarray(painted, dtype=np.uint8)
