"""Timed predictions, kept at random moments of the whole timed pass, to be held against the scored ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import SystemRandom

import numpy as np

from bench.measure.materialise import Read, copied
from bench.records import Flag
from bench.records.predictions import Prediction, SemanticMap

LEAST = 4
"""Fewest images that are looked at, as far as there are as many."""
LOOKS = 0.5
"""Share of the later occurrences of a chosen image that are looked at again."""

Check = Callable[[object, Sequence[int]], list[Prediction]]
"""Holds what came of a batch, given the positions of its images, against the contract."""


class Witness:
    """Looks at predictions of some images whenever they are timed, or every other time; outside the clock.

    Which images these are, other ones in each process, and when it looks, a model cannot know. Where an image is
    answered differently later, the answer that is least like the first is kept, so that comparing it with the scored
    one tells.
    """

    def __init__(self, ids: Sequence[str], share: float, check: Check) -> None:
        """Choose the images.

        Args:
            ids: Ids of the timed images.
            share: Share of the images that is looked at; `LEAST` images at least, unless it is 0.
            check: The contract.
        """
        count = min(len(ids), max(LEAST, math.ceil(share * len(ids)))) if share else 0
        self._ids, self._check = ids, check
        self._random = SystemRandom()
        self._chosen = frozenset(self._random.sample(range(len(ids)), count))
        self._first: dict[int, Prediction] = {}
        self._least_alike: dict[int, float] = {}
        self._changed_later = 0
        self.kept: dict[str, Prediction] = {}

    @property
    def positions(self) -> list[int]:
        """Positions of the images that were looked at, in the order of their first occurrence."""
        return list(self._first)

    @property
    def missing(self) -> list[int]:
        """Positions of chosen images that were not timed yet."""
        return sorted(self._chosen - self._first.keys())

    def chose(self, positions: Sequence[int]) -> bool:
        """Return whether an image at one of these positions is looked at."""
        return not self._chosen.isdisjoint(positions)

    def after_batch(self, read: Read, positions: Sequence[int]) -> None:
        """Look at a batch that was just timed, or not."""
        chosen = self._chosen.intersection(positions)
        if chosen and (chosen - self._first.keys() or self._random.random() < LOOKS):
            self.look(read, positions)

    def look(self, read: Read, positions: Sequence[int]) -> None:
        """Keep the predictions of chosen images in a batch."""
        if read.changed():
            self._changed_later += 1
        for position, prediction in zip(positions, self._check(read.predictions, positions), strict=True):
            if position in self._chosen:
                self._keep(position, prediction)

    def _keep(self, position: int, prediction: Prediction) -> None:
        if position not in self._first:
            self._first[position] = self.kept[self._ids[position]] = copied(prediction)
            self._least_alike[position] = 1.0
            return
        alike = _alike(self._first[position], prediction)
        if alike < self._least_alike[position]:
            self._least_alike[position] = alike
            self.kept[self._ids[position]] = copied(prediction)

    def verdict(self) -> Flag | None:
        """Say that predictions were still being written when they were said to be done; None if they were not."""
        if not self._changed_later:
            return None
        return Flag(
            name="changed_after_the_clock",
            seen=f"predictions of {self._changed_later} timed batches changed after the clock had stopped",
            advice="return predictions when they are done, in memory that nothing writes to afterwards",
        )


def _alike(first: Prediction, other: Prediction) -> float:
    """Share of equal pixels of two label maps; of other predictions 1 if they are equal and 0 if not."""
    if isinstance(first, SemanticMap) and isinstance(other, SemanticMap) and first.size == other.size:
        return float(np.mean(first.labels == other.labels))
    return float(first.content_hash() == other.content_hash())
