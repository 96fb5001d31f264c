"""Moves the ground truth of an image as its pixels are moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.dataset import GroundTruth, Spacing
from bench.records import void_of
from bench.records.predictions import Instances, Panoptic, SemanticMap

Move: TypeAlias = Callable[[NDArray[Any], int], NDArray[Any]]
"""Values of pixels, (H, W), and the value of what comes from outside -> the values moved, of the same type."""


def moved_ground_truth(
    ground_truth: GroundTruth, move: Move, spacing: Callable[[Spacing | None], Spacing | None] = lambda same: same
) -> GroundTruth:
    """Return a ground truth whose pixels are moved: void from outside, and without objects that are moved out.

    Args:
        spacing: Distance of pixels before -> after.
    """
    semantic, instances, panoptic = ground_truth.semantic, ground_truth.instances, ground_truth.panoptic
    labels = move(semantic.labels, void_of(semantic.labels))
    return GroundTruth(
        semantic=SemanticMap(labels, spacing=spacing(semantic.spacing)),
        instances=None if instances is None else _instances(instances, move, spacing(instances.spacing)),
        panoptic=None if panoptic is None else _panoptic(panoptic, move),
    )


def _instances(instances: Instances, move: Move, spacing: Spacing | None) -> Instances:
    masks = [move(mask, 0) for mask in instances.masks]
    kept = np.array([bool(mask.any()) for mask in masks], dtype=np.bool_)
    void = move(np.zeros(instances.size, np.bool_) if instances.void is None else instances.void, 1)
    return Instances(
        masks=np.stack(masks)[kept] if masks else instances.masks,
        class_ids=instances.class_ids[kept],
        scores=instances.scores[kept],
        crowd=instances.crowd[kept],
        unchecked=instances.unchecked,
        areas=None,  # those of annotations are of the objects as they were
        void=void if instances.void is not None or void.any() else None,
        spacing=spacing,
    )


def _panoptic(panoptic: Panoptic, move: Move) -> Panoptic:
    ids = move(panoptic.segment_ids, 0)
    present = set(np.unique(ids).tolist())
    return Panoptic(ids, tuple(segment for segment in panoptic.segments if segment.id in present))
