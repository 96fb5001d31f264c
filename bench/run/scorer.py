"""Scores cases while their run goes on: here, or by helpers in several processes or on nodes, with the same scores.

What helpers could not do, because one of them was killed or a node went away, is done here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass

from bench.errors import BenchError
from bench.measure.phases import during
from bench.run.executor import Executor, Helpers
from bench.run.helpers import end_processes
from bench.score.runs import Scoring

PAYS_S = 5.0
"""Helpers are started where so many seconds of scoring lie ahead: each begins with its imports."""

Then = Callable[[BenchError | None], None]
"""Action when a case is scored, or could not be."""


@dataclass(frozen=True)
class _Asked:
    scoring: Scoring
    then: Then


class Scorer:
    """Scores the cases of one run."""

    def __init__(self, executor: Executor, expected: int, tell: Callable[[str], None]) -> None:
        """Take where jobs are done.

        Args:
            executor: Executor of the run; its jobs on other machines go on while cases are scored.
            expected: Largest number of cases to score.
            tell: Gets a line where helpers begin, or one of them is lost.
        """
        self._executor, self._expected, self._tell = executor, expected, tell
        self._waiting: deque[_Asked] = deque()
        self._flying: dict[Future[str | None], _Asked] = {}
        self._helpers: Helpers | None = None
        self._asked_for_helpers = False
        self._spent_s, self._done = 0.0, 0

    def add(self, scoring: Scoring, then: Then) -> None:
        """Score a case soon: at once where that disturbs no job, else before the next job begins."""
        self._waiting.append(_Asked(scoring, then))
        if not self._executor.is_here:
            self._begin(self._expected - self._done)

    def collect(self) -> None:
        """Take note of cases that helpers have scored; waits for none."""
        for future in [one for one in self._flying if one.done()]:
            self._ended(future)

    def drain(self) -> None:
        """Have every case scored that was asked for."""
        while self._waiting:
            self._begin(len(self._waiting))
        for future in tuple(self._flying):
            self._ended(future)

    def close(self) -> None:
        """End the helpers, whatever they do."""
        if self._helpers is None:
            return
        self._helpers.shutdown(wait=False, cancel_futures=True)
        end_processes()
        self._helpers = None
        self._flying.clear()

    def _begin(self, ahead: int) -> None:
        """Give what waits to helpers if so many cases ahead are worth it; else score one of them here."""
        helpers = self._helpers_for(ahead)
        if helpers is None:
            self._here(self._waiting.popleft())
            return
        while self._waiting:
            asked = self._waiting.popleft()
            self._flying[helpers.submit(compute, asked.scoring.with_absolute_paths())] = asked

    def _helpers_for(self, ahead: int) -> Helpers | None:
        if self._helpers is None and not self._asked_for_helpers and self._done:
            if self._spent_s / self._done * ahead < PAYS_S:
                return None
            self._asked_for_helpers = True
            self._helpers = self._executor.helpers()
            if self._helpers is not None:
                self._tell("further cases are scored several at once")
        return self._helpers

    @during("score")
    def _here(self, asked: _Asked) -> None:
        began = time.monotonic()
        told = compute(asked.scoring)
        self._spent_s += time.monotonic() - began
        self._settle(asked, told)

    @during("score")
    def _ended(self, future: Future[str | None]) -> None:
        asked = self._flying.pop(future)
        try:
            told = future.result()
        except Exception as error:  # whatever became of the helper: an error of the code is met again here
            self._tell(f"{asked.scoring.planned.case.id} is scored here, because a helper was lost ({error})")
            if isinstance(error, BrokenExecutor):
                self._helpers = None
            self._here(asked)
        else:
            self._settle(asked, told)

    def _settle(self, asked: _Asked, told: str | None) -> None:
        self._done += 1
        if told is None:
            asked.scoring.record()
        asked.then(None if told is None else BenchError(told))


def compute(scoring: Scoring) -> str | None:
    """Score a case; returns what is wrong with its predictions in place of raising it, which not every wire carries."""
    try:
        scoring.compute()
    except BenchError as error:
        return str(error)
    return None
