"""Data sets by name: the module of a data set opened with a suite's options, and with the splits that these ask for."""

from __future__ import annotations

from types import ModuleType

from pydantic import JsonValue

from bench.data.formats.on_disk import OnDisk, with_orientation
from bench.data.formats.orientation import Orientation
from bench.data.formats.resplit import Resplit, parted, resplit
from bench.dataset import Dataset
from bench.errors import DatasetError
from bench.records import ClassSpec
from bench.records.names import named_module


def open_dataset(name: str, options: dict[str, JsonValue]) -> Dataset:
    """Open a data set by name.

    Args:
        name: Name of its module in `bench.datasets`.
        options: The data set's own, those of `Resplit` where its splits are to be made anew, and `orientation`.

    Raises:
        PluginError: If there is no such data set.
        ValidationError: pydantic's, for wrong options.
    """
    module = named_module("bench.datasets", name, "data set", "datasets")
    own, splits = parted(_without_orientation(options), module.Options.model_fields)
    other = None if splits is None else Resplit.model_validate(splits, strict=False)
    turned = {key: value for key, value in options.items() if key in Orientation.model_fields}
    frame = Orientation.model_validate(turned, strict=False).orientation
    dataset: Dataset = module.open_dataset(module.Options.model_validate(own, strict=False))
    if frame is not None:
        dataset = with_orientation(_of_files(dataset), frame)
    return dataset if other is None else resplit(dataset, other, _root_of(own, module))


def _without_orientation(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: value for key, value in options.items() if key not in Orientation.model_fields}


def _of_files(dataset: Dataset) -> OnDisk:
    if not isinstance(dataset, OnDisk):
        raise DatasetError("option orientation is for data sets of files; this one has no EXIF. Remove it.")
    return dataset


def classes_without_files(name: str, options: dict[str, JsonValue]) -> tuple[ClassSpec, ...] | None:
    """Return the label space of a data set where its module knows it before the files are there; else None."""
    module = named_module("bench.datasets", name, "data set", "datasets")
    if not hasattr(module, "classes_without_files"):
        return None
    own, _ = parted(_without_orientation(options), module.Options.model_fields)
    known: tuple[ClassSpec, ...] | None = module.classes_without_files(module.Options.model_validate(own, strict=False))
    return known


def _root_of(options: dict[str, JsonValue], module: ModuleType) -> str | None:
    field = module.Options.model_fields.get("root")
    return None if field is None else str(options.get("root", field.default))
