"""What is installed as Detectron2 here."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import detectron2

REDISTRIBUTION = "sal-detectron2"


def has_compiled_operators() -> bool:
    """Whether `detectron2._C` can be used; without it deformable and rotated operators are missing.

    RoIAlign and NMS are torchvision's either way.
    """
    try:
        from detectron2 import _C  # noqa: F401 - whether it can be imported is the question
    except ImportError:
        return False
    return True


def versions() -> dict[str, str]:
    """Which Detectron2 this is, and whether with compiled operators."""
    compiled = "with" if has_compiled_operators() else "without"
    found = {"detectron2": f"{detectron2.__version__} ({compiled} compiled operators)"}
    with suppress(PackageNotFoundError):  # where it was built from upstream's source
        found[REDISTRIBUTION] = version(REDISTRIBUTION)
    return found
