"""Holds what the metrics of connected regions share: masks of classes without void, components, holes and skeletons.

Pixels of a region touch by edges or corners (8-connectivity), those of a hole by edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.metrics._semantic import as_label_maps
from bench.records import ClassSpec, background_class, void_of
from bench.records.predictions import Prediction


class Masks(NamedTuple):
    """A class in both maps of an image, cut to the box around both with one pixel of margin; bool, (H, W) each."""

    class_id: int
    true: NDArray[np.bool_]
    seen: NDArray[np.bool_]


def class_masks(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Iterator[Masks]:
    """Yield every class but the background that is true or predicted, void pixels removed from both maps."""
    true_map, seen_map = as_label_maps(target, predicted)
    void = void_of(true_map.labels)
    seen_labels = np.where(true_map.labels == void, void, seen_map.labels)
    background = background_class(classes)
    for class_id in range(len(classes)):
        if class_id == background:
            continue
        true, seen = true_map.labels == class_id, seen_labels == class_id
        left, top, across, down = cv2.boundingRect((true | seen).view(np.uint8))
        if across:
            box = np.s_[top : top + down, left : left + across]
            yield Masks(class_id, np.pad(true[box], 1), np.pad(seen[box], 1))


def components(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.int32]]:
    """Number the regions of a mask from 1: how many there are, and the map of numbers, (H, W)."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    return count - 1, np.asarray(labels, dtype=np.int32)


def betti_numbers(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Regions of a mask, and holes in them; the mask has a margin of one pixel outside it."""
    holes = cv2.connectedComponents((~mask).view(np.uint8), connectivity=4)[0] - 2  # label 0, and what is outside
    return components(mask)[0], holes


def skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines, bool, (H, W), as scikit-image's `skeletonize` does.

    It follows Zhang and Suen but for some neighbourhoods: by their rules alone a square of 2 x 2 pixels vanishes.
    """
    from skimage.morphology import skeletonize

    thinned = skeletonize(mask)  # type: ignore[no-untyped-call]
    return np.asarray(thinned, dtype=np.bool_)
