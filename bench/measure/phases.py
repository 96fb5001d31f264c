"""Seconds of a process by what it did, so that a record can say where the time of a run went.

It imports the standard library alone: a worker counts from its first line on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Phases:
    """Counts seconds; a phase within another is taken out of it, so that no second counts twice.

    Attributes:
        seconds: Name of a phase -> its seconds so far, in the order of their first ends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing counted."""
        self.seconds: dict[str, float] = {}
        self._clock, self._open, self._since = clock, list[str](), 0.0

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count until the end of the block."""
        self._count()
        self._open.append(name)
        try:
            yield
        finally:
            self._count()
            self._open.pop()

    def move(self, seconds: float, source: str, to: str) -> float:
        """Count some seconds of a phase for another, as what a framework's own loop says that it spent.

        Returns:
            How many that were: no more than the phase had.
        """
        self._count()
        moved = max(0.0, min(seconds, self.seconds.get(source, 0.0)))
        if moved:
            self.seconds[source] -= moved
            self.seconds[to] = self.seconds.get(to, 0.0) + moved
        return moved

    def _count(self) -> None:
        now = self._clock()
        if self._open:
            name = self._open[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


class Covered:
    """Counts the seconds in which at least one of several things went on.

    >>> covered = Covered()
    >>> [covered.add(*span) for span in ((0, 4), (3, 6), (1, 8), (9, 10))]
    [4, 2, 2, 1]
    """

    def __init__(self) -> None:
        """Begin with nothing covered."""
        self._spans: list[tuple[float, float]] = []

    def add(self, begin: float, end: float) -> float:
        """Return how much of a span was not covered so far; spans come in the order of their ends."""
        met = [span for span in self._spans if span[1] > begin]
        already = sum(until - max(since, begin) for since, until in met)
        self._spans = [*self._spans[: len(self._spans) - len(met)], (min([begin, *(s for s, _ in met)]), end)]
        return end - begin - already


PHASES = Phases()
"""Those of this process: a worker does one job, and a command one run."""
during = PHASES.during
