"""Finds what one image holds: the classes of its ground truth, and transparency that no model sees."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import alpha_varies
from bench.data.formats.label_tables import runs_of
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, void_of
from bench.records.predictions import LabelMap

NEARLY_ALL = 0.8
"""Intersection over union from which two objects of one class are one that was drawn twice."""
LEAST_UNSEEN, SHARE_UNSEEN = 2, 0.1
"""This many objects without a pixel, and such a share of all, are no accident."""


def classes_in(dataset: Dataset, ground_truth: GroundTruth) -> list[int]:
    """Return ids of the classes of an image, rising."""
    if "semantic" not in dataset.tasks and ground_truth.instances is not None:
        return sorted(set(ground_truth.instances.class_ids.tolist()))
    present = values_in(ground_truth.semantic.labels)
    objects = [] if ground_truth.instances is None else ground_truth.instances.class_ids.tolist()
    return sorted({int(i) for i in present if i != void_of(ground_truth.semantic.labels)} | set(objects))


def values_in(labels: LabelMap) -> NDArray[np.intp]:
    """Return the values that occur, rising."""
    return np.flatnonzero(np.bincount(runs_of(labels).values))


def unseen_objects(ground_truth: GroundTruth) -> int:
    """Return the number of objects that cover no pixel, which no model can find."""
    if ground_truth.instances is None or not len(ground_truth.instances.masks):
        return 0
    return int((~ground_truth.instances.masks.any(axis=(1, 2))).sum())


def many_unseen(unseen: int, objects: int) -> str | None:
    """Return what to say where more objects of a split cover no pixel than are small enough for it; None elsewhere.

    A few that lie between the centres of pixels are usual: COCO has some.
    """
    if unseen < LEAST_UNSEEN or unseen < SHARE_UNSEEN * objects:
        return None
    return (
        f"{unseen} of {objects} objects cover no pixel, so that no model can find them: their coordinates lie outside "
        "the images, or are shares of the size where pixels are expected, or are of other images. Correct the "
        "annotations; bench data preview shows what is left"
    )


def drawn_twice(ground_truth: GroundTruth) -> int:
    """Return the number of objects that cover the pixels of an earlier one of their class, all or nearly all of them.

    So it is where an object was annotated twice, or by two annotators.
    """
    instances = ground_truth.instances
    if instances is None or len(instances.masks) < 2:
        return 0
    pixels = instances.masks.view(np.uint8)
    boxes = [cv2.boundingRect(one) for one in pixels]
    seen: dict[int, list[int]] = {}
    twice = 0
    for index, class_id in enumerate(instances.class_ids.tolist()):
        earlier = seen.setdefault(class_id, [])
        near = [i for i in earlier if boxes[index][2] and _near(boxes[index], boxes[i])]
        twice += any(_shared(pixels[index], pixels[i]) >= NEARLY_ALL for i in near)
        earlier.append(index)
    return twice


def _near(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two boxes, x, y, width and height, differ by less than a fifth of their sides."""
    across, down = 0.2 * max(one[2], other[2]), 0.2 * max(one[3], other[3])
    return all(abs(a - b) <= most for a, b, most in zip(one, other, (across, down) * 2, strict=True))


def _shared(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the intersection over union of two masks."""
    union = cv2.countNonZero(cv2.bitwise_or(one, other))
    return cv2.countNonZero(cv2.bitwise_and(one, other)) / union if union else 0.0


def alike_names(classes: Sequence[ClassSpec]) -> list[str]:
    """Return a message for each group of classes whose names differ by case, spaces and signs alone."""
    groups: dict[str, list[str]] = {}
    for spec in classes:
        plain = "".join(c for c in unicodedata.normalize("NFKC", spec.name).casefold() if c.isalnum())
        groups.setdefault(plain or spec.name, []).append(spec.name)
    return [
        f"classes {', '.join(map(repr, names))} differ by case, spaces or signs alone; if they are one class, merge "
        "them by labels"
        for names in groups.values()
        if len(names) > 1
    ]


def dropped_alpha(image: Path) -> list[str]:
    """Return a message if the transparency of an image varies, which no model sees."""
    with suppress(DatasetError):  # bands that Pillow does not know
        if alpha_varies(image):
            return [f"{image}: its alpha channel varies, and is dropped, not blended"]
    return []
