"""Stand-ins for the objects of a pickle that is read without running any of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Inert:
    """Stands for an object that only running code could restore.

    Attributes:
        state: The dictionary of attributes that a pickle has of it; nothing is made of them.
    """

    state: Mapping[str, Any] | None = None

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Take anything."""
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Answer nothing."""
        return self

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes, as they were stored."""
        self.state = state if isinstance(state, dict) else None

    def __setitem__(self, _: Any, __: Any) -> None:
        """Keep nothing."""

    def append(self, _: Any) -> None:
        """Keep nothing."""

    def extend(self, _: Any) -> None:
        """Keep nothing."""
