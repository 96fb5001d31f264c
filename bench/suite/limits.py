"""Limits of what a suite may come to: lists in it multiply, and a number may hold anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from bench.records import R

MOST_CASES = 1_000_000
MOST_ALTERNATIVES = 10_000
"""Most combinations that the lists of a target, or of a recipe, come to."""
LARGEST_SIDE = 32768
"""Pixels; larger files are not decoded either."""


def refuse_too_many(lengths: Iterable[int]) -> None:
    """Raise `ValueError` where lists of some lengths multiply to more than a suite may hold."""
    count = math.prod(lengths)
    if count > MOST_ALTERNATIVES:
        raise ValueError(f"its lists come to {count} combinations; at most {MOST_ALTERNATIVES} are allowed")


def bounded(entry: R) -> R:
    """Return an entry of a suite; raises `ValueError` as `refuse_too_many` for its lists."""
    refuse_too_many(len(values) for _, values in entry if isinstance(values, tuple))
    return entry


def device_name(name: str) -> str:
    """Return the name of a device; raises `ValueError` for what cannot be one."""
    if re.fullmatch(r"[a-z]+|(?!cpu)[a-z]+:[0-9]{1,3}", name) is None:
        raise ValueError("expected 'cpu', 'cuda', 'cuda:1', 'mps' or 'auto'")
    return name


Device = Annotated[str, AfterValidator(device_name)]
BatchSize = Annotated[int, Field(ge=1, le=100_000)]
Threads = Annotated[int, Field(ge=1, le=65_536)]
Folds = Annotated[int, Field(ge=2, le=1000)]
