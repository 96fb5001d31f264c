"""Defines a proposal of `bench data detect`, and the files that it is made from."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from bench.records.damage import content_of

HEAD = 1 << 16
LARGEST_JSON = 1 << 28
MOST_JSON = 40


@dataclass(frozen=True)
class Guess:
    """Hold what a folder may be.

    Attributes:
        name: Data set that reads it.
        options: Options beside `root`.
        certain: True if nothing but this is likely.
    """

    name: str
    options: dict[str, JsonValue] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True)
class Listing:
    """The visible files of a folder."""

    root: Path
    paths: tuple[str, ...]

    def has(self, pattern: str) -> bool:
        """Return whether a path matches a regular expression from its start."""
        expression = re.compile(pattern)
        return any(expression.match(path) for path in self.paths)


def document_of(file: Path) -> object:
    """Return the content of a JSON file; None of one that is none, or too large."""
    try:
        return json.loads(content_of(file)) if file.stat().st_size <= LARGEST_JSON else None
    except (OSError, ValueError, RecursionError):
        return None
