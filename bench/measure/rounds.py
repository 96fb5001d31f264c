"""The order in which batches are timed: every one once a round, in an order that nobody can know beforehand."""

from __future__ import annotations

from random import Random, SystemRandom


class Rounds:
    """Draws batch numbers for the clocks of one session.

    Each clock goes round all batches in an order of its own, drawn anew for each round, so that a model that works
    ahead does not know what comes next. Where others are left in its round, no clock is given the batch that was drawn
    last, which would still lie in the processor's cache. What was drawn is recorded with each sample.
    """

    def __init__(self, batches: int, random: Random | None = None) -> None:
        """Begin.

        Args:
            batches: Number of different batches.
            random: Not reproducible, unless a test brings one that is.
        """
        self.batches, self._random = batches, random or SystemRandom()
        self._left: dict[int, list[int]] = {}
        self._last: int | None = None

    def next(self, clock: int) -> int:
        """Return the number of the batch that a clock times next."""
        left = self._left.setdefault(clock, [])
        if not left:
            left += self._random.sample(range(self.batches), self.batches)
        if left[-1] == self._last and len(left) > 1:
            left[0], left[-1] = left[-1], left[0]
        self._last = left.pop()
        return self._last
