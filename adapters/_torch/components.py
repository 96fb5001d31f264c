"""Segments and instances from labelled pixels, by connected components: a baseline.

A class of stuff is one segment. Each 8-connected component of a thing class is an object of its
own: pixels of the class that touch, at an edge or at a corner, are one object. So two objects that
touch are one here and an object in two parts is two, which is what a network that tells objects
apart has to better. The score of a segment is the mean, over its pixels, of the probability that
the network gives to its class.

Pixels are never void, but for those of segments below the minimal area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records import ClassSpec
from bench.records.predictions import Instances, LabelMap, Panoptic, Segment

CONNECTIVITY = 8

MAX_INSTANCES = 100
"""Instances of an image that are kept, the surest: what COCO's evaluation looks at, and a bound on memory."""


class ComponentMap(NamedTuple):
    """Numbered parts of an image.

    Attributes:
        part: int32, (H, W): 0 = none, else 1..N.
        class_ids: int64, (N,), ascending: class of part 1, 2, ...
        scores: float64, (N,), 0-1.
    """

    part: NDArray[np.int32]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]


def panoptic_from_labels(
    labels: LabelMap, probability: NDArray[np.float32], classes: Sequence[ClassSpec], *, min_area: int
) -> Panoptic:
    """Return a segment for each class of stuff and for each component of a thing class.

    Args:
        labels: Class ids, uint8, (H, W), without void.
        probability: Probability of each pixel's class, float32, (H, W), 0-1.
        min_area: Segments of fewer pixels, things and stuff alike, become void.
    """
    found = _parts(labels, probability, classes, min_area=min_area, of_stuff=True)
    segments = (
        Segment(number, int(class_id), score=float(score))
        for number, (class_id, score) in enumerate(zip(found.class_ids, found.scores, strict=True), start=1)
    )
    return Panoptic(found.part, tuple(segments))


def instances_from_labels(
    labels: LabelMap, probability: NDArray[np.float32], classes: Sequence[ClassSpec], *, min_area: int
) -> Instances:
    """Return the components of thing classes, the surest first and at most `MAX_INSTANCES`, by the same arguments."""
    found = _parts(labels, probability, classes, min_area=min_area, of_stuff=False)
    kept = np.argsort(-found.scores, kind="stable")[:MAX_INSTANCES]
    numbers = (kept + 1).astype(np.int32)
    return Instances.found(found.part[None] == numbers[:, None, None], found.class_ids[kept], found.scores[kept])


def _parts(
    labels: LabelMap,
    probability: NDArray[np.float32],
    classes: Sequence[ClassSpec],
    *,
    min_area: int,
    of_stuff: bool,
) -> ComponentMap:
    """Number the components of things and, if asked for, the regions of stuff; drop the small ones."""
    part = np.zeros(labels.shape, dtype=np.int32)
    class_of = [-1]  # by number; 0 is no part
    for class_id in np.flatnonzero(np.bincount(labels.ravel())).tolist():
        is_thing = classes[class_id].is_thing
        if not (is_thing or of_stuff):
            continue
        region = np.asarray(labels == class_id)
        count, numbers = _components(region) if is_thing else (1, region)
        np.add(numbers, np.int32(len(class_of) - 1), out=part, where=region)
        class_of += [class_id] * count
    area = np.bincount(part.ravel(), minlength=len(class_of))
    sums = np.bincount(part.ravel(), weights=probability.ravel(), minlength=len(class_of))
    kept = area >= min_area
    kept[0] = False
    renumbered = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return ComponentMap(renumbered[part], np.array(class_of, dtype=np.int64)[kept], sums[kept] / area[kept])


def _components(region: NDArray[np.bool_]) -> tuple[int, NDArray[np.int32]]:
    """Return the number of components of a mask, and the map of their numbers from 1; 0 outside."""
    background_too, numbers = cv2.connectedComponents(
        region.view(np.uint8), connectivity=CONNECTIVITY, ltype=cv2.CV_32S
    )
    return background_too - 1, np.asarray(numbers)
