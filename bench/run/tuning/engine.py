"""The contract of an engine: it proposes recipes, and says which trainings are hopeless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.records.store.studies import Study

Params = dict[str, int | float]


class Asked(Protocol):
    """A recipe as an engine proposes it."""

    @property
    def params(self) -> Params:
        """Return what the sampler chose: field -> number, or place of a choice."""
        ...

    def report(self, number: int, value: float) -> None:
        """Take note of a validation, numbered from 0; a higher one is better."""
        ...

    @property
    def is_hopeless(self) -> bool:
        """Return whether the pruner ends it after the validations reported so far."""
        ...

    def tell(self, value: float | None) -> None:
        """Take note of its objective; None where it was ended early or failed, which counts as bad."""
        ...


class Engine(Protocol):
    """Proposes recipes: a sampler and a pruner, with seeds."""

    def ask(self) -> Asked:
        """Return the next recipe; others may be under way."""
        ...


class MakeEngine(Protocol):
    """Makes an engine of a study."""

    def __call__(self, study: Study, given: Sequence[Params] = ()) -> Engine:
        """Return a new engine, whose first recipes are those given."""
        ...
