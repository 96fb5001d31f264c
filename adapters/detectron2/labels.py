"""Between the task's class ids and the contiguous ids that Detectron2's heads use.

The region heads know only thing classes, 0..T-1 in the order of the task. The semantic head of a
Panoptic FPN knows all things as class 0 and stuff classes as 1..S, in the order of the task; it
is the "54-class" head of COCO's 80 things and 53 stuff classes. Other semantic heads use the ids
of the task as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.predictions import LabelMap
from bench.records import IGNORE_LABEL, TaskSpec


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a task by kind.

    Attributes:
        count: K, number of classes.
        things, stuff: Class ids of each kind, rising.
    """

    count: int
    things: tuple[int, ...]
    stuff: tuple[int, ...]

    @classmethod
    def of(cls, task: TaskSpec) -> LabelSpace:
        """The label space of a task."""
        ids = range(len(task.classes))
        return cls(
            count=len(ids),
            things=tuple(i for i in ids if task.classes[i].is_thing),
            stuff=tuple(i for i in ids if not task.classes[i].is_thing),
        )

    def thing_index(self, class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Contiguous ids, 0..T-1, of thing classes, shape (N,); -1 for stuff."""
        table = np.full(self.count, -1, dtype=np.int64)
        table[list(self.things)] = np.arange(len(self.things))
        return table[class_ids]

    def thing_class(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class ids of contiguous thing ids, shape (N,); the inverse of `thing_index`."""
        return np.array(self.things, dtype=np.int64)[indices]

    def things_and_stuff(self, labels: LabelMap) -> LabelMap:
        """A label map with 0 for every thing and 1..S for stuff, shape (H, W); void stays 255."""
        table = np.full(256, IGNORE_LABEL, dtype=np.uint8)
        table[list(self.things)] = 0
        table[list(self.stuff)] = np.arange(1, len(self.stuff) + 1)
        return table[labels]

    def stuff_class(self, index: int) -> int:
        """Class id of a stuff class of `things_and_stuff`, 1..S."""
        return self.stuff[index - 1]
