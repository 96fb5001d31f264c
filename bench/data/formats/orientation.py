"""Decides what labels fit where EXIF turns or mirrors their image: the image as it is shown, or as it is stored.

An image is always read as shown, by every reader. Its labels were drawn in one program or another, of which
some show it turned and some as it is stored. Sizes tell which, where EXIF turns by a quarter and the labels have
a size of their own; a mask with an orientation of its own is turned by it. Everywhere else the data set's
option has to say it, and until it does such an image is refused:

    orientation: shown      the labels fit the image as viewers show it
    orientation: stored     they fit its pixels as stored, and are turned as these are

How much more contrast an image has along the outlines of its labels than elsewhere is told as evidence. It decides
nothing.

Labels may also fit their images better mirrored, turned by half, or with x and y in each other's place. The outlines of
labels lie on edges of their image; where, in most images of a data set, they do so clearly better in another pose,
whoever wrote the labels mirrored them, or wrote x for y. Objects in the middle of an image, and images without
contrast, say nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import turned
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import Record, Size
from bench.records.predictions import LabelMap, SemanticMap

Frame = Literal["shown", "stored"]
CLEARLY = 1.25
"""This many times more contrast along the outlines in one frame than in the other says which of them is meant."""
ENOUGH = 3
"""Images of which most must speak clearly against what is said."""


class Orientation(Record):
    """The option that every data set of files takes beside its own.

    Attributes:
        orientation: Frame that the labels fit of images which EXIF turns; None refuses such images unless sizes tell.
    """

    orientation: Frame | None = None


def turned_ground_truth(ground_truth: GroundTruth, orientation: int) -> GroundTruth:
    """Return a ground truth that fits an image as stored, as the image is shown."""
    instances, panoptic = ground_truth.instances, ground_truth.panoptic
    if instances is not None:
        masks = np.moveaxis(turned(np.moveaxis(instances.masks, 0, -1), orientation), -1, 0)
        instances = instances.with_masks(np.ascontiguousarray(masks))
    if panoptic is not None:
        panoptic = replace(panoptic, segment_ids=np.ascontiguousarray(turned(panoptic.segment_ids, orientation)))
    labels = np.ascontiguousarray(turned(ground_truth.semantic.labels, orientation))
    return GroundTruth(SemanticMap(labels), instances, panoptic)


def edge_contrast(image: NDArray[Any], labels: LabelMap) -> float | None:
    """Return the mean contrast of an image along the outlines of its labels, in units of that of the whole image.

    Contrast is the magnitude of Sobel's gradient of the grey values, its largest within a pixel around.

    Args:
        image: uint8, (H, W, C).
        labels: Class ids, (H, W).

    Returns:
        1 where outlines lie anywhere; None without outlines, or where the image is flat.
    """
    gradient, outline = contrast_of(image.astype(np.float32).mean(axis=2)), outline_of(labels)
    mean = float(gradient.mean())
    return float(gradient[outline].mean()) / mean if outline.any() and mean > 0 else None


def contrast_of(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitude of Sobel's gradient of grey values, the largest within a pixel around, float32, (H, W)."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    gradient = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    return np.asarray(cv2.dilate(gradient, np.ones((3, 3), dtype=np.uint8)), dtype=np.float32)


def outline_of(labels: LabelMap) -> NDArray[np.bool_]:
    """Pixels whose label is not that of the pixel on their left or above, bool, (H, W)."""
    outline = np.zeros(labels.shape, dtype=np.bool_)
    outline[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    outline[1:] |= labels[1:] != labels[:-1]
    return outline


def better_frame(contrasts: Mapping[Frame, float | None]) -> Frame | None:
    """Return the frame in which labels lie clearly better on edges; None where neither does.

    >>> better_frame({"shown": 1.0, "stored": 2.4})
    'stored'
    >>> better_frame({"shown": 1.9, "stored": 2.0}) is None
    True
    """
    shown, stored = contrasts.get("shown"), contrasts.get("stored")
    if shown is None or stored is None:
        return None
    if max(shown, stored) < CLEARLY * min(shown, stored):
        return None
    return "shown" if shown > stored else "stored"


def contradicted(said: Frame | None, seen: Sequence[Mapping[Frame, float | None]]) -> str | None:
    """Return what to say where most turned images, and `ENOUGH` of them, speak against the option; None elsewhere."""
    other: Frame = "shown" if said == "stored" else "stored"
    against = sum(better_frame(one) == other for one in seen)
    if said is None or against < ENOUGH or 2 * against <= len(seen):
        return None
    return (
        f"orientation: {said} is set, but in {against} of {len(seen)} images that EXIF turns the outlines of labels "
        f"lie clearly better on edges of the image as {other}. Look at them with bench data preview, and correct the "
        "option."
    )


def undecided(
    image: Path, orientation: int, sizes: Sequence[Frame], contrasts: Mapping[Frame, float | None]
) -> DatasetError:
    """Return the error for a turned image whose labels may fit it as shown or as stored.

    Args:
        sizes: The frames whose size the labels have.
        contrasts: Frame -> contrast along the outlines, where it is known.
    """
    told = "; their size tells that they fit it as stored" if list(sizes) == ["stored"] else ""
    better = better_frame(contrasts)
    if better is not None:
        told += (
            f"; along their outlines its contrast is {contrasts['shown']:.1f} times the mean as shown and "
            f"{contrasts['stored']:.1f} times as stored, so that they most likely fit it as {better}"
        )
    return DatasetError(
        f"{image} is turned by its EXIF orientation {orientation}, and its labels fit it either as shown "
        f"or as stored{told}. Look at both with bench data preview, then say which by the data set's option: "
        "orientation: shown or orientation: stored.",
        kind="orientation",
    )


def of_other_size(files: str, found: Size, image: Path, expected: Size) -> DatasetError:
    """Return the error for a ground truth of another size than its image."""
    swapped = (
        " Height and width have changed places: one of the two was turned by a quarter, or its size was written as "
        "width and height."
        if (found.width, found.height) == tuple(expected)
        else ""
    )
    return DatasetError(
        f"{files}: the mask has {found.height} × {found.width} pixels, its image {image} has "
        f"{expected.height} × {expected.width} (height × width).{swapped} Make the mask again from the image as shown "
        "(EXIF orientation applied), or remove the pair.",
        kind="size",
    )


SIDE = 128
"""Side of the squares, in pixels, as which images and labels are compared, so that x and y can change places."""
ENOUGH_POSES = 5
"""Fewest images, more than half of which must be clear."""
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
        if len(told) >= ENOUGH_POSES and 2 * count > len(told):
            better = f"the outlines of labels lie clearly better on edges of the image {name}"
            return f"in {count} of {len(told)} images {better}"
    return None
