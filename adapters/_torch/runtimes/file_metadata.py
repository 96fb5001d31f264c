"""What the file of a network says of itself beside its shapes, as exporters write it: classes, size of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.records import Size
from bench.records.stated_classes import classes_in, read_texts


@dataclass(frozen=True)
class FileMetadata:
    """Facts of a file.

    Attributes:
        class_names: Class names by number; None where it names none.
        size: Size of the images it was exported for.
        by_ultralytics: Whether Ultralytics exported it, whose networks see 0 to 1, letterboxed on grey.
    """

    class_names: tuple[str, ...] | None = None
    size: Size | None = None
    by_ultralytics: bool = False


def read_metadata(texts: Mapping[str, str]) -> FileMetadata:
    """Read the texts that a file keeps under names.

    >>> read_metadata({"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[64, 96]", "author": "Ultralytics"})
    FileMetadata(class_names=('cat', 'dog'), size=Size(height=64, width=96), by_ultralytics=True)
    >>> read_metadata({"names": "cat and dog"})
    FileMetadata(class_names=None, size=None, by_ultralytics=False)
    """
    said = read_texts(texts)
    return FileMetadata(classes_in(said), _size(said.get("imgsz")), str(said.get("author")) == "Ultralytics")


def _size(said: object) -> Size | None:
    sides = [said, said] if isinstance(said, int) else said
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(s, int) and s > 0 for s in sides):
        return Size(*sides)
    return None
