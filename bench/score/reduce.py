"""Reductions that put models of different tasks on one axis, by declared rules.

The lattice is panoptic -> instance -> semantic. A panoptic prediction says everything a semantic one
does; an instance prediction says it after two choices, the score from which an instance counts and
what lies elsewhere. Every rule is stated in the definition of each score made by it. Nothing is
invented: where nothing is predicted, the semantic map names no class, unless the label space has a
class called `background`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.records import IGNORE_LABEL, ClassSpec, TaskKind
from bench.records.predictions import Instances, LabelMap, Panoptic, Prediction, PromptedMasks, SemanticMap

INSTANCE_SCORE = 0.5
"""Score from which an instance is painted, unless a score says otherwise."""

RULES: dict[tuple[TaskKind, TaskKind], str] = {
    (
        "instance",
        "semantic",
    ): f"instances with a score of at least {INSTANCE_SCORE} painted in ascending score, background elsewhere",
    ("panoptic", "semantic"): "segments painted with their class",
    ("panoptic", "instance"): "each thing segment an instance with the segment's score, 1 where it has none",
}
"""How a native prediction (first) becomes another form (second); part of a score's definition."""

REDUCED_BY = "; reduced by: "
"""Stands between the definition of a score and the rule its prediction was reduced by."""


class Painting(NamedTuple):
    """Instances on one map.

    Attributes:
        labels: Class of the topmost instance, uint8, (H, W); `IGNORE_LABEL` where there is none.
        scores: Its score, float64, (H, W); -1 where there is none.
    """

    labels: LabelMap
    scores: NDArray[np.float64]


def reaches(native: TaskKind, kind: TaskKind) -> bool:
    """Whether a native prediction has or can be reduced to a form."""
    return native == kind or (native, kind) in RULES


def reduced(prediction: Prediction, kind: TaskKind, classes: Sequence[ClassSpec]) -> Prediction:
    """Return a prediction in another form by the rules of `RULES`.

    Raises:
        BenchError: If there is no such rule.
    """
    if kind == "semantic":
        return semantic_from(prediction, classes)
    if kind == "instance" and isinstance(prediction, Panoptic):
        return instances_from_panoptic(prediction, classes)
    if (kind, type(prediction)) in (("instance", Instances), ("panoptic", Panoptic)):
        return prediction
    raise BenchError(f"a {type(prediction).__name__} cannot be reduced to a {kind} prediction")


def semantic_from(prediction: Prediction, classes: Sequence[ClassSpec]) -> SemanticMap:
    """Return the semantic map of any prediction by the rules of `RULES`."""
    if isinstance(prediction, SemanticMap):
        return prediction
    if isinstance(prediction, Panoptic):
        return semantic_from_panoptic(prediction)
    if isinstance(prediction, PromptedMasks):
        raise BenchError("masks of prompts have no classes; they cannot be reduced to a semantic map")
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
    labels, scores = painted(instances)
    return SemanticMap(np.where(scores >= tau, labels, np.uint8(IGNORE_LABEL if background is None else background)))


def painted(instances: Instances) -> Painting:
    """Paint all instances over one another in ascending score.

    The topmost instance of a pixel has its highest score, so the map at a threshold is this one
    where `scores` reaches it, whatever the threshold.
    """
    labels = np.full(instances.size, IGNORE_LABEL, dtype=np.uint8)
    scores = np.full(instances.size, -1.0)
    for index in np.argsort(instances.scores, kind="stable"):
        labels[instances.masks[index]] = instances.class_ids[index]
        scores[instances.masks[index]] = instances.scores[index]
    return Painting(labels, scores)


def instances_from_panoptic(panoptic: Panoptic, classes: Sequence[ClassSpec]) -> Instances:
    """Make every thing segment an instance; stuff and void are left out.

    A panoptic map gives each pixel away once and usually leaves out unsure segments, so an AP of
    it lies below that of the instances it was made from.
    """
    things = [segment for segment in panoptic.segments if classes[segment.class_id].is_thing]
    ids = np.array([segment.id for segment in things], dtype=np.int32)
    return Instances(
        masks=panoptic.segment_ids[None] == ids[:, None, None],
        class_ids=np.array([segment.class_id for segment in things], dtype=np.int64),
        scores=np.array([1.0 if s.score is None else s.score for s in things], dtype=np.float64),
        crowd=np.array([segment.crowd for segment in things], dtype=np.bool_),
    )
