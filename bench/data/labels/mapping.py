"""Class ids -> class ids on the arrays of predictions and ground truth.

What has no class in the new label space is void: "not scored" in a ground truth, "names no class" in a
prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.dataset import GroundTruth, PaintedGroundTruth
from bench.records import ClassSpec, label_dtype, void_id
from bench.records.predictions import Instances, LabelMap, Panoptic, Prediction, PromptedMasks, Segment, SemanticMap


@dataclass(frozen=True)
class ClassTable:
    """Table from the classes of one label space to those of another.

    Attributes:
        ids: Old id -> new id, or `void` for a class that is void.
        classes: The new label space.
    """

    ids: tuple[int, ...]
    classes: tuple[ClassSpec, ...]

    @property
    def void(self) -> int:
        """Id of void in the new label space."""
        return void_id(len(self.classes))

    def lookup(self) -> LabelMap:
        """New ids of all old labels, (256,) or (65536,); void and ids without a class are void."""
        table = np.full(1 + void_id(len(self.ids)), self.void, dtype=label_dtype(len(self.classes)))
        table[: len(self.ids)] = self.ids
        return table

    def is_stuff(self, new_id: int) -> bool:
        """Return whether a new class is stuff."""
        return not self.classes[new_id].is_thing


def map_prediction(prediction: Prediction, table: ClassTable) -> Prediction:
    """Return a prediction in the new label space.

    Instances of void classes are left out, those of others stay apart. Panoptic segments follow
    `map_panoptic`. Masks of prompts have no classes and stay as they are.
    """
    if isinstance(prediction, SemanticMap):
        return SemanticMap(table.lookup()[prediction.labels])
    if isinstance(prediction, Panoptic):
        return map_panoptic(prediction, table)
    if isinstance(prediction, PromptedMasks):
        return prediction
    new_ids = np.array([table.ids[i] for i in prediction.class_ids], dtype=np.int64)
    return _chosen(prediction, new_ids, new_ids != table.void)


def map_ground_truth(ground_truth: GroundTruth, table: ClassTable) -> GroundTruth:
    """Return all forms of a ground truth in the new label space."""
    if isinstance(ground_truth, PaintedGroundTruth) and ground_truth.instances is not None:
        return PaintedGroundTruth(
            map_true_instances(ground_truth.instances, table),
            lambda: SemanticMap(table.lookup()[ground_truth.semantic.labels]),
        )
    return GroundTruth(
        semantic=SemanticMap(table.lookup()[ground_truth.semantic.labels]),
        instances=None if ground_truth.instances is None else map_true_instances(ground_truth.instances, table),
        panoptic=None if ground_truth.panoptic is None else map_panoptic(ground_truth.panoptic, table),
    )


def map_true_instances(instances: Instances, table: ClassTable) -> Instances:
    """Return true instances in the new label space.

    Those of classes that became void are not scored: together they are one crowd of every thing
    class, so that a detection that lies in them is neither right nor wrong. This is what
    Cityscapes' instance evaluation does with ignored labels, said in COCO's terms. Those of
    classes that became stuff, such as the background, are left out: a detection there is wrong.
    """
    new_ids = np.array([table.ids[i] for i in instances.class_ids], dtype=np.int64)
    things = [i for i, spec in enumerate(table.classes) if spec.is_thing]
    kept = _chosen(instances, new_ids, np.isin(new_ids, things))
    # A merged class was looked through for if each of its members was.
    unchecked = sorted({table.ids[i] for i in instances.unchecked} - {table.void})
    kept = kept.changed(unchecked=tuple(unchecked))
    if not (new_ids == table.void).any():
        return kept
    void = instances.masks[new_ids == table.void]
    if not void.any():
        return kept
    crowds = len(things)
    return Instances(
        masks=np.concatenate([kept.masks, np.repeat(void.any(axis=0)[None], crowds, axis=0)]),
        class_ids=np.concatenate([kept.class_ids, np.array(things, dtype=np.int64)]),
        scores=np.concatenate([kept.scores, np.ones(crowds)]),
        crowd=np.concatenate([kept.crowd, np.ones(crowds, dtype=np.bool_)]),
        unchecked=kept.unchecked,
        areas=None if kept.areas is None else np.concatenate([kept.areas, np.full(crowds, np.nan)]),
        void=kept.void,
        spacing=kept.spacing,
    )


def _chosen(instances: Instances, new_ids: NDArray[np.int64], kept: NDArray[np.bool_]) -> Instances:
    return instances.chosen(kept).changed(class_ids=new_ids[kept])


def map_panoptic(panoptic: Panoptic, table: ClassTable) -> Panoptic:
    """Return a panoptic map in the new label space.

    Things stay apart. All segments that become one stuff class become one segment, with the lowest
    of their ids and the highest of their scores (none if one has none); it is no crowd. Segments of
    void classes become void.
    """
    groups: dict[int, list[Segment]] = {}  # new segment id -> old segments, in the order of the list
    of_stuff: dict[int, int] = {}
    new_class: dict[int, int] = {}
    for segment in sorted(panoptic.segments, key=lambda s: s.id):
        class_id = table.ids[segment.class_id]
        if class_id == table.void:
            continue
        new_id = of_stuff.setdefault(class_id, segment.id) if table.is_stuff(class_id) else segment.id
        groups.setdefault(new_id, []).append(segment)
        new_class[new_id] = class_id
    new_id_of = {old.id: new_id for new_id, olds in groups.items() for old in olds}
    ids, place = np.unique(panoptic.segment_ids, return_inverse=True)
    table_of_ids = np.array([new_id_of.get(int(i), 0) for i in ids], dtype=np.int32)
    return Panoptic(
        segment_ids=table_of_ids[place.reshape(panoptic.segment_ids.shape)],
        segments=tuple(
            Segment(
                id=new_id,
                class_id=new_class[new_id],
                crowd=olds[0].crowd and not table.is_stuff(new_class[new_id]),
                score=_highest([old.score for old in olds]),
            )
            for new_id, olds in groups.items()
        ),
    )


def _highest(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return max(known) if len(known) == len(scores) else None
