"""Imports the library, and timm below it, without the experiment tracker that timm looks for.

timm's training helpers import wandb where it is installed, which costs each job most of a second; no network needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(module: str) -> Iterator[None]:
    """Let imports of a module fail that is not imported yet; it can be imported as before once the block is left."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with without("wandb"):
    import segmentation_models_pytorch as smp
    import timm

__all__ = ["smp", "timm"]
