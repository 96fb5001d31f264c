"""A task that a tiny network learns in a second: red and green rectangles on dark noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.adapter import TrainingData
from bench.predictions import SemanticMap
from bench.records import Budget, ClassSpec, ModelSpec, Recipe, Size, TaskSpec

SIZE = Size(24, 32)
THREE_CLASSES = TaskSpec(
    kind="semantic",
    classes=(
        ClassSpec(name="ground", colour=(0, 0, 0)),
        ClassSpec(name="red", colour=(255, 0, 0)),
        ClassSpec(name="green", colour=(0, 255, 0)),
    ),
)
TWO_CLASSES = TaskSpec(kind="semantic", classes=THREE_CLASSES.classes[:2])


class Rectangles:
    """A `bench.adapter.Split`; ids above the task's last class are drawn as ground."""

    def __init__(self, count: int, *, seed: int, size: Size = SIZE, classes: int = 3) -> None:
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

    def truth(self, index):
        return SemanticMap(self.pairs[index][1])


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
    classes = len(task.classes)
    return TrainingData(Rectangles(train, seed=1, classes=classes), Rectangles(val, seed=2, classes=classes), task)


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
