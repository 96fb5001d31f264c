"""Reads what exporters write into the file of a network beside its shapes: classes, size of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from adapters._torch.input import DEFAULT, STATED, InputContract, are_numbers
from adapters._torch.options import InputOptions
from bench.records import Size
from bench.records.stated_classes import classes_in, read_texts

NESTED = ("input", "preprocessing", "preprocess", "preprocessor", "image_processor")
"""Entries that hold all of a preprocessing."""

ALIASES = {
    "mean": ("mean_values", "image_mean", "mean"),
    "std": ("scale_values", "image_std", "std"),
    "scale": ("scale",),
    "channels": ("color_order", "channel_order", "channels"),
}
"""Our name -> names of exporters, the more usual last."""


@dataclass(frozen=True)
class FileMetadata:
    """Facts of a file.

    Attributes:
        class_names: Class names by number; None where it names none.
        size: Size of the images it was exported for.
        by_ultralytics: True if Ultralytics exported it, whose networks see 0 to 1, letterboxed on grey.
        input: Mean and std, order of colours, size; None where it says none of them.
    """

    class_names: tuple[str, ...] | None = None
    size: Size | None = None
    by_ultralytics: bool = False
    input: InputContract | None = None


def read_metadata(texts: Mapping[str, str]) -> FileMetadata:
    """Read the texts that a file keeps under names.

    >>> read_metadata({"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[64, 96]"})
    FileMetadata(class_names=('cat', 'dog'), size=Size(height=64, width=96), by_ultralytics=False, input=None)
    >>> read_metadata({"names": "cat and dog"})
    FileMetadata(class_names=None, size=None, by_ultralytics=False, input=None)
    >>> read_metadata({"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]"}).input.mean
    (0.5, 0.5, 0.5)
    >>> read_metadata({"mean_values": "123.675 116.28 103.53", "scale_values": "58.4 57.1 57.4"}).input.std[0]
    0.22901960784313724
    """
    said = read_texts(texts)
    size, by_ultralytics = _size(said.get("imgsz")), str(said.get("author")) == "Ultralytics"
    found = _input(said)
    if by_ultralytics and found is None:
        found = replace(OF_ULTRALYTICS, size=size)
    return FileMetadata(classes_in(said) or _of_model_api(said), size, by_ultralytics, found)


OF_ULTRALYTICS = InputContract(
    (0.0,) * 3,
    (1.0,) * 3,
    fit="letterbox",
    interpolation="linear",
    fill=(114.0,) * 3,
    said_by="Ultralytics' exporter",
    says_fit=True,
)
"""Preprocessing of Ultralytics' networks, which their exports do not state."""

FITS = {"standard": "stretch", "fit_to_window_letterbox": "letterbox", "fit_to_window": "pad", "crop": "crop"}
"""`resize_type` of OpenVINO's Model API -> fit."""


def _of_model_api(said: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the classes that OpenVINO's Model API keeps in one text, with spaces between them."""
    labels = said.get("labels")
    return tuple(labels.split()) if "model_type" in said and isinstance(labels, str) and labels.split() else None


def _input(said: Mapping[str, Any]) -> InputContract | None:
    """Return the preprocessing of one entry or of several; None if it is not said, or is part of the file."""
    if str(said.get("embedded_processing")).lower() in ("true", "yes"):
        return None
    nested = next((said[name] for name in NESTED if isinstance(said.get(name), Mapping)), said)
    given: dict[str, Any] = {
        name: _numbers(nested[key]) for name, keys in ALIASES.items() for key in keys if key in nested
    }
    order, scale = str(given.pop("channels", "")).lower(), given.pop("scale", [1.0])
    if not {"mean", "std"} <= given.keys():
        given = {}
    above = max((max(values) for values in given.values() if are_numbers(values)), default=0)
    if given:
        given["scale"] = 255 if scale == [255.0] or above > 1 else 1
    if order in ("rgb", "bgr", "gray"):
        given["channels"] = order
    if (fit := FITS.get(str(nested.get("resize_type")))) is not None:
        given["fit"] = fit
    try:
        read = InputOptions.model_validate(given)
    except ValidationError:
        return None
    silent = tuple((name, DEFAULT) for name in STATED if name not in given)
    mean, std = read.mean or (0.0,), read.std or (1.0,)
    mean, std = (tuple(value / read.scale for value in values) for values in (mean, std))
    found = InputContract(mean, std, read.channels or "rgb", fit=read.fit or "stretch", says_fit=True, stated=silent)
    return replace(found, said_by="the file's metadata") if len(silent) < len(STATED) else None


def _numbers(value: object) -> object:
    """Return the numbers of a text that lists them, with spaces or commas between; anything else as it is.

    >>> _numbers("123.675 116.28 103.53"), _numbers("bgr"), _numbers(0.5)
    ([123.675, 116.28, 103.53], 'bgr', [0.5])
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [float(value)]
    if not isinstance(value, str):
        return value
    try:
        return [float(word) for word in value.replace(",", " ").split()] or value
    except ValueError:
        return value


def _size(said: object) -> Size | None:
    sides = [said, said] if isinstance(said, int) else said
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(s, int) and s > 0 for s in sides):
        return Size(*sides)
    return None
