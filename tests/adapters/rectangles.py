"""A task that a tiny network learns in a second: red and green rectangles on dark noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.adapter import TrainingData
from bench.records import Budget, ClassSpec, ModelSpec, Recipe, Size, TaskKind, TaskSpec
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap

SIZE = Size(24, 32)
THREE_CLASSES = TaskSpec(
    kind="semantic",
    classes=(
        ClassSpec(name="ground", colour=(0, 0, 0)),
        ClassSpec(name="red", is_thing=True, colour=(255, 0, 0)),
        ClassSpec(name="green", is_thing=True, colour=(0, 255, 0)),
    ),
)
TWO_CLASSES = TaskSpec(kind="semantic", classes=THREE_CLASSES.classes[:2])
INSTANCES = TaskSpec(kind="instance", classes=THREE_CLASSES.classes)
PANOPTIC = TaskSpec(kind="panoptic", classes=THREE_CLASSES.classes)


class Rectangles:
    """A `bench.adapter.Split`; ids above the task's last class are drawn as ground."""

    def __init__(
        self, count: int, *, seed: int, size: Size = SIZE, classes: int = 3, kind: TaskKind = "semantic"
    ) -> None:
        self._kind = kind
        random = np.random.default_rng(seed)
        self.pairs = [_draw(random, size, classes) for _ in range(count)]
        self.decoded = 0

    def __len__(self):
        return len(self.pairs)

    def image(self, index):
        self.decoded += 1
        return self.pairs[index][0]

    def semantic(self, index):
        return self.pairs[index][1]

    def ground_truth(self, index):
        return TRUTHS[self._kind](self.pairs[index][1])


def as_instances(labels) -> Instances:
    """Each of red and green that is to be seen is one instance."""
    ids = [class_id for class_id in (1, 2) if (labels == class_id).any()]
    return Instances(
        masks=np.array([labels == class_id for class_id in ids], dtype=bool).reshape(len(ids), *labels.shape),
        class_ids=np.array(ids, dtype=np.int64),
        scores=np.ones(len(ids)),
        crowd=np.zeros(len(ids), dtype=bool),
    )


def as_panoptic(labels) -> Panoptic:
    """Class plus one is the id of its segment; void is 0."""
    ids = np.where(labels == 255, 0, labels.astype(np.int32) + 1).astype(np.int32)
    return Panoptic(ids, tuple(Segment(int(i), int(i) - 1) for i in np.unique(ids) if i))


TRUTHS = {"semantic": SemanticMap, "instance": as_instances, "panoptic": as_panoptic}


def _draw(random, size, classes):
    image = random.integers(0, 60, (*size, 3), dtype=np.uint8)
    labels = np.zeros(size, dtype=np.uint8)
    for class_id in (1, 2):
        top, left = random.integers(0, size.height - 8), random.integers(0, size.width - 8)
        where = np.s_[top : top + 8, left : left + 8]
        image[where] = 40
        image[where][..., class_id - 1] = 220
        labels[where] = class_id if class_id < classes else 0
    labels[0, :3] = 255
    return image, labels


def rectangles(train: int = 12, val: int = 4, *, task: TaskSpec = THREE_CLASSES) -> TrainingData:
    drawn = {"classes": len(task.classes), "kind": task.kind}
    return TrainingData(Rectangles(train, seed=1, **drawn), Rectangles(val, seed=2, **drawn), task)


def small_unet(**options) -> ModelSpec:
    return ModelSpec(
        name="unet/test",
        label="unet/test",
        adapter="unet",
        task="semantic",
        description="",
        options={"depth": 2, "base_width": 4, **options},
    )


def short_recipe(**changes) -> Recipe:
    fields = {"budget": Budget(steps=6), "batch_size": 4, "learning_rate": 0.01, "device": "cpu", "threads": 1}
    return Recipe(**{**fields, **changes})


@dataclass
class Recorder:
    """A `bench.adapter.Progress` that remembers."""

    plans: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    validations: list[dict] = field(default_factory=list)

    def planned(self, **plan):
        self.plans.append(plan)

    def step(self, **step):
        self.steps.append(step)

    def validated(self, **validation):
        self.validations.append(validation)
