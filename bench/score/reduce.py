"""Reductions that put models of different tasks on one axis, by declared rules.

A panoptic prediction says everything a semantic one does; an instance prediction says it after two
choices, the score from which an instance counts and what lies elsewhere. Both are stated in the
definition of every score made this way. Nothing is invented: where nothing is predicted, the
semantic map names no class, unless the label space has a class called `background`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.errors import BenchError
from bench.predictions import Instances, Panoptic, Prediction, SemanticMap
from bench.records import IGNORE_LABEL, ClassSpec, TaskKind

INSTANCE_SCORE = 0.5
"""Score from which an instance is painted, unless a score says otherwise."""

RULES: dict[TaskKind, str] = {
    "semantic": "",
    "instance": f"instances with a score of at least {INSTANCE_SCORE} painted in ascending score, background elsewhere",
    "panoptic": "segments painted with their class",
}
"""How a native prediction becomes a semantic map, by its kind; part of a score's definition."""


def semantic_from(prediction: Prediction, classes: Sequence[ClassSpec]) -> SemanticMap:
    """Return the semantic map of any prediction by the rules of `RULES`."""
    if isinstance(prediction, SemanticMap):
        return prediction
    if isinstance(prediction, Panoptic):
        return semantic_from_panoptic(prediction)
    return semantic_from_instances(prediction, tau=INSTANCE_SCORE, background=background_class(classes))


def background_class(classes: Sequence[ClassSpec]) -> int | None:
    """Id of the class called `background`, or None."""
    return next((i for i, spec in enumerate(classes) if spec.name.lower() == "background"), None)


def semantic_from_panoptic(panoptic: Panoptic) -> SemanticMap:
    """Paint every segment with its class; void stays void.

    Raises:
        BenchError: If the map holds a segment id that is not in its list.
    """
    ids, place = np.unique(panoptic.segment_ids, return_inverse=True)
    class_of = {segment.id: segment.class_id for segment in panoptic.segments} | {0: IGNORE_LABEL}
    unlisted = [int(i) for i in ids if int(i) not in class_of]
    if unlisted:
        raise BenchError(f"a panoptic map holds segment ids {unlisted[:5]} that are not in its list of segments")
    labels = np.array([class_of[int(i)] for i in ids], dtype=np.uint8)
    return SemanticMap(labels[place.reshape(panoptic.segment_ids.shape)])


def semantic_from_instances(instances: Instances, *, tau: float, background: int | None) -> SemanticMap:
    """Paint instances over one another in ascending score, so that the surest is on top.

    Args:
        instances: May overlap.
        tau: Instances with a lower score are left out.
        background: Class id of pixels without an instance; None leaves them without a class.
    """
    labels = np.full(instances.size, IGNORE_LABEL if background is None else background, dtype=np.uint8)
    for index in np.argsort(instances.scores, kind="stable"):
        if instances.scores[index] >= tau:
            labels[instances.masks[index]] = instances.class_ids[index]
    return SemanticMap(labels)
