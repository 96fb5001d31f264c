"""Finds out what is installed as Detectron2 here."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, module_from_spec
from typing import Any, TypeAlias

import detectron2

from bench.errors import Unsupported

REDISTRIBUTION = "sal-detectron2"

BuiltNetwork: TypeAlias = Any
"""A module that Detectron2 built, with the parts of its kind: Detectron2 gives none of its classes a type."""


def has_compiled_operators(device: str = "cpu") -> bool:
    """Return whether `detectron2._C` can be used on a device; without it deformable and rotated operators are missing.

    RoIAlign and NMS are torchvision's either way. A build without nvcc, as on a machine without a GPU, has no CUDA.
    """
    try:
        from detectron2 import _C
    except ImportError:
        return False
    return not device.startswith("cuda") or bool(_C.has_cuda())


def versions() -> dict[str, str]:
    """Return which Detectron2 this is, and whether with compiled operators."""
    compiled = "with" if has_compiled_operators() else "without"
    found = {"detectron2": f"{detectron2.__version__} ({compiled} compiled operators)"}
    with suppress(PackageNotFoundError):  # where it was built from upstream's source
        found[REDISTRIBUTION] = version(REDISTRIBUTION)
    return found


def open_panoptic_deeplab() -> None:
    """Make `detectron2.projects.panoptic_deeplab.*` importable where panopticapi is missing.

    That package's `__init__` imports a reader of data set files, which is not needed here and wants
    panopticapi, which is not on the package index. Its other modules do without: the package is put
    in place unexecuted.
    """
    name = "detectron2.projects.panoptic_deeplab"
    if name in sys.modules or find_spec("panopticapi") is not None:
        return
    spec = find_spec(name)
    if spec is None:
        raise Unsupported(f"this build of Detectron2 lacks {name}; make install brings one that has it")
    sys.modules[name] = module_from_spec(spec)
