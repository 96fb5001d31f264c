"""Data sets by name: the module of a data set opened with a suite's options, and with the splits that these ask for."""

from __future__ import annotations

from types import ModuleType

from pydantic import JsonValue

from bench.data.formats.bands import BandOptions, Percentiles, measured_ranges
from bench.data.formats.on_disk import OnDisk, with_bands, with_orientation
from bench.data.formats.orientation import Orientation
from bench.data.formats.resplit import Resplit, parted, resplit
from bench.dataset import Dataset, default_root
from bench.errors import DatasetError
from bench.records import ClassSpec, Record
from bench.records.names import named_module


def open_dataset(name: str, options: dict[str, JsonValue]) -> Dataset:
    """Open a data set by name.

    Args:
        options: The data set's own, those of `Resplit` where its splits are to be made anew, `orientation`, and those
            of `BandOptions`.

    Raises:
        PluginError: If there is no such data set.
        ValidationError: pydantic's, for wrong options.
    """
    module = named_module("bench.datasets", name, "data set", "datasets")
    own, splits = parted(_own(options, module), module.Options.model_fields)
    other = None if splits is None else Resplit.model_validate(splits, strict=False)
    frame = Orientation.model_validate(_shared(options, module, Orientation), strict=False).orientation
    dataset: Dataset = module.open_dataset(module.Options.model_validate(own, strict=False))
    if frame is not None:
        dataset = with_orientation(_of_files(dataset, "orientation"), frame)
    bands = _shared(options, module, BandOptions)
    if bands:
        dataset = _with_bands(_of_files(dataset, ", ".join(bands)), BandOptions.model_validate(bands, strict=False))
    root = own.get("root", default_root(name))
    return dataset if other is None else resplit(dataset, other, None if root is None else str(root))


def _shared(options: dict[str, JsonValue], module: ModuleType, of: type[Record]) -> dict[str, JsonValue]:
    """Return the options that every data set of files takes, and that the module does not have itself."""
    own = module.Options.model_fields
    return {key: value for key, value in options.items() if key in of.model_fields and key not in own}


def _own(options: dict[str, JsonValue], module: ModuleType) -> dict[str, JsonValue]:
    shared = {**_shared(options, module, Orientation), **_shared(options, module, BandOptions)}
    return {key: value for key, value in options.items() if key not in shared}


def _of_files(dataset: Dataset, option: str) -> OnDisk:
    if not isinstance(dataset, OnDisk) or dataset.pictures is not None:
        raise DatasetError(f"option {option} is for data sets of files; this one has no image files. Remove it.")
    return dataset


def _with_bands(dataset: OnDisk, options: BandOptions) -> OnDisk:
    """Return the data set with images read as declared, percentiles measured on `train`."""
    reading = options.reading()
    if reading is None:
        raise DatasetError("options rgb and depth belong to bands or range; write one of these, or remove them.")
    if isinstance(options.range, Percentiles):
        splits = ["train"] if "train" in dataset.splits() else [*dataset.splits()]
        images = [dataset.entry(image_id).image for split in splits for image_id in dataset.ids(split)]
        reading = measured_ranges(reading, images, options.range)
    return with_bands(dataset, reading)


def classes_without_files(name: str, options: dict[str, JsonValue]) -> tuple[ClassSpec, ...] | None:
    """Return the label space of a data set where its module knows it before the files are there; else None."""
    module = named_module("bench.datasets", name, "data set", "datasets")
    if not hasattr(module, "classes_without_files"):
        return None
    own, _ = parted(_own(options, module), module.Options.model_fields)
    known: tuple[ClassSpec, ...] | None = module.classes_without_files(module.Options.model_validate(own, strict=False))
    return known
