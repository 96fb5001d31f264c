"""Tests whether labels fit their images better mirrored, turned by half, or with x and y in each other's place.

The outlines of labels lie on edges of their image; where, in most images of a data set, they do so clearly better in
another pose, whoever wrote the labels mirrored them, or wrote x for y. Objects in the middle of an image, and images
without contrast, say nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.orientation import contrast_of, outline_of
from bench.records.predictions import LabelMap

SIDE = 128
"""Side of the squares, in pixels, as which images and labels are compared, so that x and y can change places."""
CLEARLY, ENOUGH = 1.25, 5
"""Factor of contrast that is clear, and fewest images, more than half of which must be clear."""
ENDS = 0.55
"""Share of width and height in which labels end that were drawn for images of half the size."""
AS_THEY_ARE = "as they are"
AT_TWICE = "at twice their size, as if they were drawn on copies of half the size"
POSES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    AS_THEY_ARE: lambda square: square,
    "mirrored left to right": lambda square: square[:, ::-1],
    "mirrored top to bottom": lambda square: square[::-1],
    "turned by half": lambda square: square[::-1, ::-1],
    "with x and y in each other's place": lambda square: square.T,
}


def pose_contrasts(grey: NDArray[np.uint8], labels: LabelMap) -> dict[str, float]:
    """Contrast of an image along the outlines of its labels in each pose, in units of that of the whole image.

    Args:
        grey: The image, uint8, (H, W), of any size.
        labels: Class ids, (H', W') of the same shape but for scale.

    Returns:
        Name of the pose -> contrast; empty where there are no outlines or no contrast.
    """
    image = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    outline = outline_of(np.asarray(cv2.resize(labels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)))
    contrast = contrast_of(image.astype(np.float32))
    mean = float(contrast.mean())
    if not outline.any() or mean == 0:
        return {}
    # To turn the image is to turn the labels, for each pose undoes itself.
    outlines = {name: (pose(contrast), outline) for name, pose in POSES.items()}
    half = int(ENDS * SIDE)
    if not (outline[half:].any() or outline[:, half:].any()):
        quarter = labels[: max(1, labels.shape[0] // 2), : max(1, labels.shape[1] // 2)]
        enlarged = cv2.resize(quarter, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
        outlines[AT_TWICE] = contrast, outline_of(np.asarray(enlarged))
    return {name: round(float(seen[lines].mean()) / mean, 3) for name, (seen, lines) in outlines.items() if lines.any()}


def better_pose(seen: Sequence[Mapping[str, float]]) -> str | None:
    """Return what to say where the labels of most images fit clearly better in one other pose; None where they do not.

    >>> better_pose([dict.fromkeys(POSES, 1.0) | {"turned by half": 2.0}] * 5)
    'in 5 of 5 images the outlines of labels lie clearly better on edges of the image turned by half'
    """
    told = [one for one in seen if one]
    best = Counter(max(one, key=one.__getitem__) for one in told if max(one.values()) > CLEARLY * one[AS_THEY_ARE])
    for name, count in best.most_common(1):
        if len(told) >= ENOUGH and 2 * count > len(told):
            better = f"the outlines of labels lie clearly better on edges of the image {name}"
            return f"in {count} of {len(told)} images {better}"
    return None
