"""Gives answers that were read from files again, for as long as none of these files and folders has changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from bench.records.store.files import State, file_state

Answer = TypeVar("Answer")
States = Mapping[Path, State | None]
"""Path -> its state, taken before it was read; None where there was nothing."""


class Remembered(Generic[Answer]):
    """Answers of one question. Looking at the state of a file costs a hundredth of reading it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[tuple[tuple[Path, State | None], ...], Answer]] = {}

    def get(self, key: Hashable, work_out: Callable[[], tuple[Answer, States]]) -> Answer:
        """Return the answer to a question.

        Args:
            key: Key of the question.
            work_out: Reads the answer, and tells the states of all that it was read from.
        """
        known = self._known.get(key)
        if known is None or any(file_state(path) != state for path, state in known[0]):
            answer, states = work_out()
            known = self._known[key] = tuple(states.items()), answer
        return known[1]
