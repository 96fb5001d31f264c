"""Data sets by name: the module of a data set opened with a suite's options, and with the splits that these ask for."""

from __future__ import annotations

from types import ModuleType

from pydantic import JsonValue

from bench.data.formats.resplit import Resplit, parted, resplit
from bench.dataset import Dataset
from bench.records import ClassSpec
from bench.records.names import named_module


def open_dataset(name: str, options: dict[str, JsonValue]) -> Dataset:
    """Open a data set by name.

    Args:
        name: Of its module in `bench.datasets`.
        options: The data set's own, and those of `Resplit` where its splits are to be made anew.

    Raises:
        PluginError: If there is no such data set.
        ValidationError: pydantic's, for wrong options.
    """
    module = named_module("bench.datasets", name, "data set", "datasets")
    own, splits = parted(options, module.Options.model_fields)
    other = None if splits is None else Resplit.model_validate(splits, strict=False)
    dataset: Dataset = module.open_dataset(module.Options.model_validate(own, strict=False))
    return dataset if other is None else resplit(dataset, other, _root_of(own, module))


def classes_without_files(name: str, options: dict[str, JsonValue]) -> tuple[ClassSpec, ...] | None:
    """Return the label space of a data set where its module knows it before the files are there; else None."""
    module = named_module("bench.datasets", name, "data set", "datasets")
    if not hasattr(module, "classes_without_files"):
        return None
    own, _ = parted(options, module.Options.model_fields)
    known: tuple[ClassSpec, ...] | None = module.classes_without_files(module.Options.model_validate(own, strict=False))
    return known


def _root_of(options: dict[str, JsonValue], module: ModuleType) -> str | None:
    field = module.Options.model_fields.get("root")
    return None if field is None else str(options.get("root", field.default))
