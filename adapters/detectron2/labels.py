"""The task's label space as Detectron2's heads number it.

ROI heads number the things from 0. The semantic head of a panoptic network has one class for all
things, 0, and the stuff classes from 1; that of a semantic network has the task's classes as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records import IGNORE_LABEL, TaskSpec
from bench.records.predictions import LabelMap


@dataclass(frozen=True)
class LabelSpace:
    """State which class of the task each head's class is.

    Attributes:
        things: Class id by number of the ROI heads, int64.
        semantic: Class id by number of the semantic head, int64; -1 stands for all things.
    """

    things: NDArray[np.int64]
    semantic: NDArray[np.int64]

    @classmethod
    def of(cls, task: TaskSpec, *, things_apart: bool = False) -> LabelSpace:
        """Return the numbering of a task; `things_apart` if a panoptic network's semantic head tells things apart."""
        things = np.array([i for i, spec in enumerate(task.classes) if spec.is_thing], dtype=np.int64)
        stuff = [i for i, spec in enumerate(task.classes) if not spec.is_thing]
        merged = task.kind == "panoptic" and not things_apart
        semantic = [-1, *stuff] if merged else range(len(task.classes))
        return cls(things, np.array(semantic, dtype=np.int64))

    def thing_numbers(self, class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return numbers of the ROI heads for ids of thing classes."""
        return np.searchsorted(self.things, class_ids)

    def semantic_numbers(self, labels: LabelMap) -> LabelMap:
        """Return a label map of the task as the semantic head is trained on it; void stays void."""
        number_of = np.full(256, IGNORE_LABEL, dtype=np.uint8)
        for number, class_id in enumerate(self.semantic):
            if class_id >= 0:
                number_of[class_id] = number
            else:
                number_of[self.things] = number
        return number_of[labels]
