"""The contract of an engine: it proposes recipes, and says which trainings are hopeless."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from pydantic import JsonValue

from bench.records import Searched, Tune

Params = dict[str, int | float]


class Proposal(ABC):
    """A recipe that an engine proposes, and that is tried.

    Attributes:
        params: Field of the recipe -> number that the sampler chose, or place of a choice.
        reported: Number of validations that were reported.
    """

    def __init__(self, tune: Tune, params: Params) -> None:
        self._tune, self.params, self.reported = tune, params, 0

    @property
    def values(self) -> dict[str, JsonValue]:
        """Field of the recipe -> its value."""
        return {field: value_of(self._tune.space[field], param) for field, param in self.params.items()}

    def report(self, number: int, value: float | None) -> None:
        """Take note of a validation, numbered from 0; one that was reported is that of a training which goes on."""
        if number < self.reported:
            return
        self.reported = number + 1
        if value is not None:
            self._take(number, value)

    @property
    def is_hopeless(self) -> bool:
        """Return whether the pruner ends it after the validations reported so far."""
        return self._tune.pruner != "none" and self._falls_behind()

    @abstractmethod
    def _take(self, number: int, value: float) -> None:
        """Tell the pruner of a validation; a higher one is better."""

    @abstractmethod
    def _falls_behind(self) -> bool:
        """Ask the pruner."""

    @abstractmethod
    def tell(self, value: float | None) -> None:
        """Take note of its objective; None where it was ended early or failed, which counts as bad."""


class Engine(Protocol):
    """Proposes recipes: a sampler and a pruner, with seeds."""

    def ask(self) -> Proposal:
        """Return the next recipe; others may be under way."""
        ...


def value_of(searched: Searched, param: float) -> JsonValue:
    """Return the value of a field for what the sampler said."""
    return searched.choices[int(param)] if searched.choices is not None else param
