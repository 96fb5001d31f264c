"""The task's label space as a network that classifies masks numbers it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import Unsupported
from bench.records import TaskSpec


@dataclass(frozen=True)
class Classes:
    """State which class of the task each of the network's classes is.

    A network of instances knows the things alone; the others know every class as it is.

    Attributes:
        ids: Class id by number of the network, int64, (K,).
        is_thing: True for each number of the network that is a thing, bool, (K,).
        names: Names by number of the network.
    """

    ids: NDArray[np.int64]
    is_thing: NDArray[np.bool_]
    names: tuple[str, ...]

    @classmethod
    def of(cls, task: TaskSpec, label: str) -> Classes:
        """Return the numbering of a task.

        Raises:
            Unsupported: If instances are asked for and the task has no things; says so of `label`.
        """
        taken = [i for i, spec in enumerate(task.classes) if spec.is_thing or task.kind != "instance"]
        if not taken:
            raise Unsupported(f"{label} finds things; this label space has none")
        return cls(
            ids=np.array(taken, dtype=np.int64),
            is_thing=np.array([task.classes[i].is_thing for i in taken], dtype=np.bool_),
            names=tuple(task.classes[i].name for i in taken),
        )

    def numbered(self, order: tuple[int, ...] | None) -> Classes:
        """Return the numbering of a network in which this one's class i has the number `order[i]`."""
        if order is None:
            return self
        places = np.argsort(order)
        return Classes(self.ids[places], self.is_thing[places], tuple(self.names[place] for place in places))

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self) -> dict[int, int]:
        """Return the number of the network by class id; classes that it does not know are left out."""
        return {int(class_id): number for number, class_id in enumerate(self.ids)}
