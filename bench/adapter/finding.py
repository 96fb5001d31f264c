"""Turns the name of an adapter into its folder, its module and its `Adapter`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from bench.adapter.contract import Adapter, BaseAdapter
from bench.errors import PluginError, did_you_mean
from bench.records.names import harness_root, listed_in

ADAPTERS_VARIABLE = "BENCH_ADAPTERS"
"""Environment variable with further adapter folders, separated as in PATH."""


def adapter_folders() -> dict[str, Path]:
    """Return adapter name -> folder, built-in ones first; an outside adapter may not hide a built-in one."""
    folders: dict[str, Path] = {}
    for root in _roots():
        for name in listed_in(root):
            if (root / name / "adapter.py").is_file():
                folders.setdefault(name, root / name)
    for name, folder in _folders_of_packages(tuple(sys.path)).items():
        folders.setdefault(name, folder)
    return folders


def _roots() -> list[Path]:
    """Return the folders of adapters: ours, and those of the user's in their order."""
    outside = os.environ.get(ADAPTERS_VARIABLE, "").split(os.pathsep)
    return [harness_root() / "adapters", *(Path(part) for part in outside if part)]


@lru_cache
def _folders_of_packages(_: tuple[str, ...]) -> dict[str, Path]:
    """Name -> folder of the adapters of installed packages; looked for once on each path, since that reads them all."""
    specs = {point.name: importlib.util.find_spec(point.value) for point in entry_points(group="bench.adapters")}
    return {
        name: Path(next(iter(spec.submodule_search_locations)))
        for name, spec in specs.items()
        if spec is not None and spec.submodule_search_locations
    }


def adapter_folder(name: str) -> Path:
    """Return the folder of an adapter; raises `PluginError` with the nearest name."""
    if Path(name).name == name:  # most are found without a list of all: a plan asks for each of its cases
        for root in _roots():
            if (root / name / "adapter.py").is_file():
                return root / name
    folders = adapter_folders()
    if name not in folders:
        raise PluginError(
            f"no adapter named {name!r}.{did_you_mean(name, folders)} List them with: bench list adapters"
        )
    return folders[name]


def load_adapter(name: str) -> Adapter:
    """Import an adapter's module and make its `Adapter`; the only place that does so.

    Raises:
        PluginError: If there is no such adapter, or its class is none that the harness can drive.
    """
    folder = adapter_folder(name)
    if folder.parent == harness_root() / "adapters":
        module = importlib.import_module(f"adapters.{name}.adapter")
    else:
        module = _import_file(f"bench_adapter_{name}", folder / "adapter.py")
    return _made(module, folder / "adapter.py")


def _made(module: ModuleType, file: Path) -> Adapter:
    """Make the `Adapter` of a module, or say what it lacks."""
    cls = getattr(module, "Adapter", None)
    if not isinstance(cls, type) or not issubclass(cls, BaseAdapter):
        found = "has no class Adapter" if cls is None else "has an Adapter that does not inherit from BaseAdapter"
        raise PluginError(
            f"{file} {found}, whose defaults the harness relies on. Write: from bench.adapter import BaseAdapter, and "
            "class Adapter(BaseAdapter), with build, preprocess, infer and postprocess; see adapters/README.md"
        )
    lacking = sorted(cls.__abstractmethods__)
    if lacking:
        raise PluginError(
            f"{file}: its Adapter lacks {', '.join(lacking)}; write these methods as bench/adapter/contract.py says"
        )
    return cls()


def load_light(adapter: str, module: str) -> ModuleType | None:
    """Import a module of an adapter's folder that needs no framework, such as `options`; None where it has none."""
    folder = adapter_folder(adapter)
    if not (folder / f"{module}.py").is_file():
        return None
    if folder.parent == harness_root() / "adapters":
        return importlib.import_module(f"adapters.{adapter}.{module}")
    return _import_file(f"bench_adapter_{adapter}_{module}", folder / f"{module}.py")


def load_loss_grammar() -> ModuleType:
    """Import the names and the grammar of the losses that the torch adapters share; imports no framework."""
    return importlib.import_module("adapters._torch.loss_grammar")


def _import_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} cannot be imported as an adapter; it must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
