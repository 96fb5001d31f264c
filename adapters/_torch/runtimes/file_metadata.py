"""Reads what exporters write into the file of a network beside its shapes: classes, size of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters._torch.input import InputContract, contract_in
from bench.records import Size
from bench.records.stated_classes import classes_in, read_texts

NESTED = ("input", "preprocessing", "preprocess", "preprocessor", "image_processor")
"""Entries that hold all of a preprocessing."""

ALIASES = {
    "mean": ("image_mean", "mean"),
    "std": ("image_std", "std"),
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
        input: Mean, std and order of colours; None where it does not say them.
    """

    class_names: tuple[str, ...] | None = None
    size: Size | None = None
    by_ultralytics: bool = False
    input: InputContract | None = None


def read_metadata(texts: Mapping[str, str]) -> FileMetadata:
    """Read the texts that a file keeps under names.

    >>> read_metadata({"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[64, 96]", "author": "Ultralytics"})
    FileMetadata(class_names=('cat', 'dog'), size=Size(height=64, width=96), by_ultralytics=True, input=None)
    >>> read_metadata({"names": "cat and dog"})
    FileMetadata(class_names=None, size=None, by_ultralytics=False, input=None)
    >>> read_metadata({"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]"}).input.mean
    (0.5, 0.5, 0.5)
    """
    said = read_texts(texts)
    size, by_ultralytics = _size(said.get("imgsz")), str(said.get("author")) == "Ultralytics"
    return FileMetadata(classes_in(said), size, by_ultralytics, _input(said))


def _input(said: Mapping[str, Any]) -> InputContract | None:
    """Return the preprocessing that is said in one entry, or in entries of its own."""
    nested = next((said[name] for name in NESTED if isinstance(said.get(name), Mapping)), said)
    given = {name: nested[key] for name, keys in ALIASES.items() for key in keys if key in nested}
    order, scale = str(given.pop("channels", "")).lower(), given.pop("scale", 1)
    if order in ("rgb", "bgr", "gray"):
        given["channels"] = order
    above = max((max(values) for values in given.values() if _are_numbers(values)), default=0)
    given["scale"] = 255 if scale == 255 or above > 1 else 1
    found = contract_in(given)
    return None if found is None else replace(found, said_by="the file's metadata")


def _are_numbers(values: object) -> bool:
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(v, int | float) for v in values)


def _size(said: object) -> Size | None:
    sides = [said, said] if isinstance(said, int) else said
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(s, int) and s > 0 for s in sides):
        return Size(*sides)
    return None
