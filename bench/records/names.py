"""Name -> module: a name in a suite is a path in this tree, and there is no registry to edit.

Metric `mean_iou` is `bench/metrics/mean_iou.py`, data set `shapes` is `bench/datasets/shapes.py`. Modules are listed
by their files, so that listing names imports none of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from bench.errors import PluginError, did_you_mean


def harness_root() -> Path:
    """Folder that holds the packages `bench` and `adapters`."""
    return Path(__file__).resolve().parents[2]


def module_names(package: str) -> list[str]:
    """Names of the public modules of a package of ours, for example `bench.metrics`, sorted."""
    folder = harness_root().joinpath(*package.split("."))
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def named_module(package: str, name: str, what: str, listing: str) -> ModuleType:
    """Import the public module `name` of a package.

    Raises:
        PluginError: If there is none; it calls the thing `what`, tells the nearest name and `bench list LISTING`.
    """
    known = module_names(package)
    if name not in known:
        raise PluginError(f"no {what} named {name!r}.{did_you_mean(name, known)} List them with: bench list {listing}")
    return importlib.import_module(f"{package}.{name}")
