"""Limits of what a suite may come to: lists in it multiply, and a number may hold anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

MOST_CASES = 1_000_000
MOST_ALTERNATIVES = 10_000
"""Most combinations that the lists of a target, or of a recipe, come to."""
MOST_IMAGES, MOST_THREADS, MOST_FOLDS = 100_000, 65_536, 1000
"""Most images of a batch, threads of a worker, and parts of a cross-validation."""


def refuse_too_many(lengths: Iterable[int]) -> None:
    """Raise `ValueError` where lists of some lengths multiply to more than a suite may hold."""
    count = math.prod(lengths)
    if count > MOST_ALTERNATIVES:
        raise ValueError(f"its lists come to {count} combinations; at most {MOST_ALTERNATIVES} are allowed")


def device_name(name: str) -> str:
    """Return the name of a device; raises `ValueError` for what cannot be one."""
    if re.fullmatch(r"[a-z]+|(?!cpu)[a-z]+:[0-9]{1,3}", name) is None:
        raise ValueError("expected 'cpu', 'cuda', 'cuda:1', 'mps' or 'auto'")
    return name
