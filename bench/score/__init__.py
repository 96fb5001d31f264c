"""Predictions become scores here: reductions between tasks, statistics per image, thresholds.

The package can be called: `bench.score(predictions, dataset, metrics)` is `bench.score.in_memory.score`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package whose call is that of the function it is known by, since both have one name in `bench`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return importlib.import_module(f"{__name__}.in_memory").score(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
