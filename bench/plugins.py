"""Name -> module: a name in a suite is a path in this tree.

`unet/transposed` is `adapters/unet/models/transposed.yaml`, metric `mean_iou` is
`bench/metrics/mean_iou.py`, data set `shapes` is `bench/datasets/shapes.py`. There is no registry
to edit. Further adapters come from `--adapters DIR` (folders of the same form, as
`BENCH_ADAPTERS` for workers) and from entry points in the group `bench.adapters`, which name a
package with `adapter.py` and `models/`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from pydantic import JsonValue

import bench.datasets
import bench.metrics
import bench.report.loggers
from bench.adapter import Adapter
from bench.dataset import Dataset
from bench.errors import PluginError, did_you_mean
from bench.logger import Logger
from bench.metric import Metric
from bench.records import ClassSpec

ADAPTERS_VARIABLE = "BENCH_ADAPTERS"
"""Environment variable with further adapter folders, separated as in PATH."""


def harness_root() -> Path:
    """Folder that holds the packages `bench` and `adapters`."""
    return Path(__file__).resolve().parent.parent


def adapter_folders() -> dict[str, Path]:
    """Adapter name -> folder, built-in ones first; an outside adapter may not hide a built-in one."""
    folders: dict[str, Path] = {}
    roots = [harness_root() / "adapters"]
    roots += [Path(part) for part in os.environ.get(ADAPTERS_VARIABLE, "").split(os.pathsep) if part]
    for root in roots:
        for file in sorted(root.glob("*/adapter.py")):
            folders.setdefault(file.parent.name, file.parent)
    for point in entry_points(group="bench.adapters"):
        spec = importlib.util.find_spec(point.value)
        if spec is not None and spec.submodule_search_locations:
            folders.setdefault(point.name, Path(next(iter(spec.submodule_search_locations))))
    return folders


def adapter_folder(name: str) -> Path:
    """Folder of an adapter; raises `PluginError` with the nearest name."""
    folders = adapter_folders()
    if name not in folders:
        raise PluginError(
            f"no adapter named {name!r}.{did_you_mean(name, folders)} List them with: bench list adapters"
        )
    return folders[name]


def load_adapter(name: str) -> Adapter:
    """Import an adapter's module and make its `Adapter`; the only place that does so."""
    folder = adapter_folder(name)
    if folder.parent == harness_root() / "adapters":
        module = importlib.import_module(f"adapters.{name}.adapter")
    else:
        module = _import_file(f"bench_adapter_{name}", folder / "adapter.py")
    made: Adapter = module.Adapter()
    return made


def load_light(adapter: str, module: str) -> ModuleType | None:
    """Import a module of an adapter's folder that needs no framework, such as `options`; None where it has none."""
    folder = adapter_folder(adapter)
    if not (folder / f"{module}.py").is_file():
        return None
    if folder.parent == harness_root() / "adapters":
        return importlib.import_module(f"adapters.{adapter}.{module}")
    return _import_file(f"bench_adapter_{adapter}_{module}", folder / f"{module}.py")


def load_loss_grammar() -> ModuleType:
    """The names and the grammar of the losses that the torch adapters share; imports no framework."""
    return importlib.import_module("adapters._torch.loss_grammar")


def _import_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} cannot be imported as an adapter; it must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def dataset_names() -> list[str]:
    """Names of all data sets."""
    return _public_modules(bench.datasets)


def open_dataset(name: str, options: dict[str, JsonValue]) -> Dataset:
    """Open a data set by name; raises `PluginError` for an unknown name and pydantic's
    `ValidationError` for wrong options."""
    module = _submodule(bench.datasets, name, "data set", "datasets")
    dataset: Dataset = module.open_dataset(module.Options.model_validate(options, strict=False))
    return dataset


def classes_without_files(name: str, options: dict[str, JsonValue]) -> tuple[ClassSpec, ...] | None:
    """The label space of a data set where its module knows it before the files are there; else None."""
    module = _submodule(bench.datasets, name, "data set", "datasets")
    if not hasattr(module, "classes_without_files"):
        return None
    known: tuple[ClassSpec, ...] | None = module.classes_without_files(
        module.Options.model_validate(options, strict=False)
    )
    return known


def default_root(name: str) -> str | None:
    """Where a data set of files looks unless its option `root` says otherwise; None for one without that option."""
    field = _submodule(bench.datasets, name, "data set", "datasets").Options.model_fields.get("root")
    return None if field is None else str(field.default)


def metric_names() -> list[str]:
    """Names of all metrics."""
    return _public_modules(bench.metrics)


def load_metric(name: str) -> Metric:
    """Load a metric by name; raises `PluginError` with the nearest name."""
    metric: Metric = _submodule(bench.metrics, name, "metric", "metrics").Metric()
    return metric


def logger_names() -> list[str]:
    """Names of all loggers."""
    return _public_modules(bench.report.loggers)


def load_logger(name: str) -> Logger:
    """Load a logger by name; raises `PluginError` with the nearest name. Its package is imported when it writes."""
    logger: Logger = _submodule(bench.report.loggers, name, "logger", "loggers").Logger()
    return logger


def _public_modules(package: ModuleType) -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def _submodule(package: ModuleType, name: str, what: str, listing: str) -> ModuleType:
    known = _public_modules(package)
    if name not in known:
        raise PluginError(f"no {what} named {name!r}.{did_you_mean(name, known)} List them with: bench list {listing}")
    return importlib.import_module(f"{package.__name__}.{name}")
