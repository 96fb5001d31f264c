"""Slices put together again: metrics of volumes see all slices of a volume at once.

A volume's statistics stand in the row of its last image; those of its other images are empty, so that sums over images
are sums over volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd

import numpy as np

from bench.dataset import Dataset, Place
from bench.errors import BenchError, ShapeError
from bench.records import Spacing, void_of
from bench.records.predictions import SemanticMap


@dataclass(frozen=True)
class Volume:
    """All slices of a volume that are scored.

    Attributes:
        target, predicted: Class ids, (S, H, W); slices between them that are no images of the split are void.
    """

    name: str
    target: SemanticMap
    predicted: SemanticMap


@dataclass
class Volumes:
    """Collects slices until a volume is complete.

    Attributes:
        places: Place of each image, in the order of the split; None for one that is no slice.
    """

    places: Sequence[Place | None]
    _waiting: dict[str, list[tuple[int, SemanticMap, SemanticMap]]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count the slices of each volume."""
        for place in self.places:
            if place is not None:
                self._sizes[place.volume] = self._sizes.get(place.volume, 0) + 1

    def add(self, number: int, target: SemanticMap, predicted: SemanticMap) -> Volume | None:
        """Take the next image; returns its volume if this was the last slice of it."""
        if target.size != predicted.size:
            raise ShapeError(
                f"the target of image {number} has size {tuple(target.size)} and the prediction "
                f"{tuple(predicted.size)}; predictions must have the original image size. See adapters/README.md, "
                "rule 4."
            )
        place = self.places[number]
        if place is None:
            return None
        slices = self._waiting.setdefault(place.volume, [])
        slices.append((number, target, predicted))
        if len(slices) < self._sizes[place.volume]:
            return None
        return self._stacked(place.volume, self._waiting.pop(place.volume))

    def _stacked(self, name: str, slices: list[tuple[int, SemanticMap, SemanticMap]]) -> Volume:
        height = {number: place.number for number, place in enumerate(self.places) if place is not None}
        levels = [height[number] for number, _, _ in slices]
        step = gcd(*(level - min(levels) for level in levels)) or 1
        shapes = {target.labels.shape for _, target, _ in slices}
        if len(shapes) > 1 or len(set(levels)) < len(levels):
            raise BenchError(
                f"volume {name!r} has slices of different sizes, or one slice twice: {sorted(map(tuple, shapes))[:3]}. "
                "Metrics of volumes need a grid of voxels."
            )
        first = slices[0][1]
        shape = ((max(levels) - min(levels)) // step + 1, *first.labels.shape)
        both = [np.full(shape, void_of(first.labels), dtype=first.labels.dtype) for _ in range(2)]
        for level, (_, target, predicted) in zip(levels, slices, strict=True):
            both[0][(level - min(levels)) // step] = target.labels
            both[1][(level - min(levels)) // step] = predicted.labels
        spacing = _in_volume(first.spacing, step)
        return Volume(name, SemanticMap(both[0], spacing=spacing), SemanticMap(both[1]))


def _in_volume(spacing: Spacing | None, step: int) -> Spacing | None:
    """The spacing with the distance of the slices that are there; None where their distance is not known."""
    if spacing is None or spacing.slice is None:
        return None
    return spacing._replace(slice=spacing.slice * step)


def places_of(dataset: Dataset, image_ids: Sequence[str]) -> list[Place | None]:
    """Return where each image lies in its volume; None for one that is no slice."""
    place = getattr(dataset, "place", None)
    return [None if place is None else place(image_id) for image_id in image_ids]
