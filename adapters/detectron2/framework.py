"""Detectron2 with or without its compiled operators.

Detectron2 compiles deformable convolutions and operators on rotated boxes into `detectron2._C`;
ROIAlign and box NMS come from torchvision (`detectron2/layers/roi_align.py`, `layers/nms.py`).
Where `_C` cannot be imported a stand-in takes its place before `detectron2.modeling` is imported,
so that all else works and what needs it is `Unsupported` by name.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import detectron2
import torch

from bench.errors import Unsupported

DISTRIBUTIONS = ("sal-detectron2", "detectron2")
"""Names that Detectron2 is installed under; the first is a redistribution on the package index."""

HOW_TO_COMPILE = "install Detectron2 with its compiled operators (make detectron2-upstream)"


class AbsentOperators(ModuleType):
    """Stands for `detectron2._C` where there is none; every operator of it is `Unsupported`."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # what Python itself asks of a module
            raise AttributeError(name)
        raise Unsupported(f"detectron2._C.{name} is not compiled here; {HOW_TO_COMPILE}")


def import_detectron2() -> bool:
    """Import Detectron2's models; return whether its compiled operators are there."""
    try:
        importlib.import_module("detectron2._C")
        compiled = not isinstance(sys.modules["detectron2._C"], AbsentOperators)
    except ImportError:
        compiled = False
        sys.modules["detectron2._C"] = detectron2._C = AbsentOperators("detectron2._C")
    import_quietly("detectron2.modeling", "detectron2.projects.deeplab", "detectron2.checkpoint")
    with warnings.catch_warnings():
        # Said once per process: the anchor generator calls it without `indexing`.
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        torch.meshgrid(torch.zeros(1), torch.zeros(1))
    return compiled


def import_quietly(*modules: str) -> None:
    """Import modules of Detectron2 without what they are told of features they use."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        for module in modules:
            importlib.import_module(module)


def import_panoptic_deeplab() -> ModuleType:
    """Import `detectron2.projects.panoptic_deeplab`, whose data mapper asks for panopticapi.

    The mapper is not used here, so a stand-in without content is enough, while it is imported.
    """
    name = "detectron2.projects.panoptic_deeplab"
    try:
        import_quietly(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "panopticapi":
            raise
        utils = types.ModuleType("panopticapi.utils")
        utils.rgb2id = None
        stand_ins = {"panopticapi": types.ModuleType("panopticapi"), "panopticapi.utils": utils}
        sys.modules.update(stand_ins)
        try:
            import_quietly(name)
        finally:
            for stand_in in stand_ins:
                del sys.modules[stand_in]
    return sys.modules[name]


def framework_versions(*, compiled: bool) -> dict[str, str]:
    """Which Detectron2 this is: its own version, the distribution it came in, and its operators."""
    found = {"detectron2": str(detectron2.__version__), "detectron2._C": "compiled" if compiled else "absent"}
    for name in DISTRIBUTIONS:
        try:
            found[name if name != "detectron2" else "detectron2 (upstream)"] = version(name)
        except PackageNotFoundError:
            continue
    return found
