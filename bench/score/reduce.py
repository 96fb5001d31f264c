"""Reductions that put models of different tasks on one axis, by declared rules.

The lattice is panoptic -> instance -> semantic. A panoptic prediction says everything a semantic one
does; an instance prediction says it after two choices, the score from which an instance counts and
what lies elsewhere. Every rule is stated in the definition of each score made by it. Nothing is
invented: where nothing is predicted, the semantic map names no class, unless the label space has a
class for pixels in no object.

A data set of objects alone says nothing about the pixels outside them. A map painted from its objects is void there, so
that a semantic metric would forgive every false positive that lies in no true object: such a metric is refused unless
the data set says what outside is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.rasters import instances_from_panoptic
from bench.dataset import Dataset
from bench.errors import BenchError
from bench.metric import Metric
from bench.records import ClassSpec, TaskKind, background_class, label_dtype, void_id, void_of
from bench.records.predictions import (
    INSTANCE_SCORE,
    Instances,
    LabelMap,
    Panoptic,
    Prediction,
    PromptedMasks,
    SemanticMap,
)

RULES: dict[tuple[TaskKind, TaskKind], str] = {
    (
        "instance",
        "semantic",
    ): f"instances with a score of at least {INSTANCE_SCORE} painted in ascending score, background elsewhere",
    ("panoptic", "semantic"): "segments painted with their class",
    ("panoptic", "instance"): "each thing segment an instance with the segment's score, 1 where it has none",
}
"""This says how a native prediction (first) becomes another form (second); part of a score's definition."""

REDUCED_BY = "; reduced by: "
"""Stands between the definition of a score and the rule its prediction was reduced by."""


class Painting(NamedTuple):
    """Instances on one map.

    Attributes:
        labels: Class of the topmost instance, (H, W), void where there is none; see `void_of`.
        scores: Its score, float64, (H, W); -1 where there is none.
    """

    labels: LabelMap
    scores: NDArray[np.float64]


def reaches(native: TaskKind, kind: TaskKind) -> bool:
    """Return whether a native prediction has or can be reduced to a form."""
    return native == kind or (native, kind) in RULES


def reduced(prediction: Prediction, kind: TaskKind, classes: Sequence[ClassSpec]) -> Prediction:
    """Return a prediction in another form by the rules of `RULES`; raises `BenchError` if there is no such rule."""
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
        return semantic_from_panoptic(prediction, len(classes))
    if isinstance(prediction, PromptedMasks):
        raise BenchError("masks of prompts have no classes; they cannot be reduced to a semantic map")
    nothing = background_class(classes)
    return semantic_from_instances(prediction, tau=INSTANCE_SCORE, background=nothing, num_classes=len(classes))


def semantic_from_panoptic(panoptic: Panoptic, num_classes: int = 0) -> SemanticMap:
    """Paint every segment with its class; void stays void. Of more than 255 classes their number must be given.

    Raises:
        BenchError: If the map holds a segment id that is not in its list.
    """
    ids, place = np.unique(panoptic.segment_ids, return_inverse=True)
    class_of = {segment.id: segment.class_id for segment in panoptic.segments} | {0: void_id(num_classes)}
    unlisted = [int(i) for i in ids if int(i) not in class_of]
    if unlisted:
        raise BenchError(f"a panoptic map holds segment ids {unlisted[:5]} that are not in its list of segments")
    labels = np.array([class_of[int(i)] for i in ids], dtype=label_dtype(num_classes))
    return SemanticMap(labels[place.reshape(panoptic.segment_ids.shape)])


def semantic_from_instances(
    instances: Instances, *, tau: float, background: int | None, num_classes: int = 0
) -> SemanticMap:
    """Paint instances over one another in ascending score, so that the surest is on top.

    Args:
        instances: May overlap.
        tau: Instances with a lower score are left out.
        background: Class id of pixels without an instance; None leaves them without a class.
        num_classes: K; must be given where there can be more than 255.
    """
    labels, scores = painted(instances, num_classes)
    nothing = labels.dtype.type(void_of(labels) if background is None else background)
    return SemanticMap(np.where(scores >= tau, labels, nothing))


def painted(instances: Instances, num_classes: int = 0) -> Painting:
    """Paint all instances over one another in ascending score; of more than 255 classes K must be given.

    The topmost instance of a pixel has its highest score, so the map at a threshold is this one
    where `scores` reaches it, whatever the threshold.
    """
    void = void_id(num_classes)
    if max(instances.class_ids.tolist(), default=0) >= void:
        raise BenchError(f"class id {int(instances.class_ids.max())} does not fit a label map of {void} classes")
    labels = np.full(instances.size, void, dtype=label_dtype(num_classes))
    scores = np.full(instances.size, -1.0)
    for index in np.argsort(instances.scores, kind="stable"):
        labels[instances.masks[index]] = instances.class_ids[index]
        scores[instances.masks[index]] = instances.scores[index]
    return Painting(labels, scores)


# --------------------------------------------------------------------------- what a metric is computed in


def scored_as(metric: Metric, native: TaskKind) -> TaskKind | None:
    """Return the form in which a metric scores a native prediction: its own, else the first it can be reduced to."""
    if native in metric.tasks:
        return native
    return next((kind for kind in metric.tasks if reaches(native, kind)), None)


def is_complete(dataset: Dataset, kind: TaskKind) -> bool:
    """Return whether a data set's ground truth is complete in a form; masks of prompts need its objects."""
    return ("instance" if kind == "prompted" else kind) in dataset.tasks


def incomplete(metrics: Sequence[Metric], native: TaskKind, dataset: Dataset) -> dict[TaskKind, list[str]]:
    """Return form -> names of the metrics to be computed in it, of the forms in which ground truth is incomplete."""
    found: dict[TaskKind, list[str]] = {}
    for metric in metrics:
        kind = scored_as(metric, native)
        if kind is not None and kind != native and not is_complete(dataset, kind):
            found.setdefault(kind, []).append(metric.name)
    return found
