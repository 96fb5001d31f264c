"""Defines the base of every record: frozen, strict, with a canonical digest; and the ids and sizes of label maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue, SerializerFunctionWrapHandler, ValidationError, model_serializer
from pydantic_core import PydanticCustomError, PydanticSerializationError

from bench.errors import BenchError, visible
from bench.records.damage import content_of

RECORDS_VERSION = 1
IGNORE_LABEL = 255
"""Label of a pixel that is left out of every score, in a map of 8 bits."""
WIDE_VOID = 65535
"""Void in a label map of 16 bits."""


def void_id(num_classes: int) -> int:
    """Return the id of void in a label map of `num_classes` classes: 255 as long as no class needs that id.

    >>> void_id(255), void_id(256)
    (255, 65535)
    """
    return IGNORE_LABEL if num_classes <= IGNORE_LABEL else WIDE_VOID


def label_dtype(num_classes: int) -> type[np.unsignedinteger[Any]]:
    """Type of the ids of a label map of `num_classes` classes; raises `ValueError` for more than 65,535 of them.

    >>> label_dtype(254).__name__, label_dtype(1203).__name__
    ('uint8', 'uint16')
    """
    if num_classes > WIDE_VOID:
        raise ValueError(f"{num_classes} classes; a label map holds at most {WIDE_VOID}")
    return np.uint8 if num_classes <= IGNORE_LABEL else np.uint16


def void_of(labels: NDArray[Any]) -> int:
    """Return the id of void in a label map, by the width of its ids."""
    return IGNORE_LABEL if labels.dtype.itemsize == 1 else WIDE_VOID


def first_fault(error: ValidationError) -> str:
    """Return the first complaint of pydantic's, behind the dotted place it is about where it has one."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(part for part in (".".join(map(str, first["loc"])), in_words(first["msg"])) if part)


def in_words(complaint: str) -> str:
    """Return a complaint of pydantic's about YAML or JSON in their words.

    >>> in_words("Input should be a valid tuple")
    'Input should be a list'
    """
    return complaint.replace("a valid tuple", "a list").replace("a valid dictionary", "a mapping of names to values")


class Spacing(NamedTuple):
    """Distance between neighbouring pixels of an image in millimetres.

    Attributes:
        row: Distance from a pixel to the one below it.
        column: Distance from a pixel to the one on its right.
        slice: Distance from the image to the next slice of its volume; None where it is of no volume, or its slices are
            not at equal distances.
    """

    row: float
    column: float
    slice: float | None = None


class Size(NamedTuple):
    """Image size in pixels, always (height, width)."""

    height: int
    width: int


R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """Base of every record: frozen, strict, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="null")

    def to_json(self) -> str:
        """Return this record as indented JSON with a final newline.

        Raises:
            BenchError: If it holds the name of a file that is not text in UTF-8.
        """
        try:
            return self.model_dump_json(indent=2) + "\n"
        except PydanticSerializationError:
            odd = next(_odd_texts(self.model_dump()), "a record")
            raise BenchError(f"{odd} is not text in UTF-8, in which records are written. Rename it") from None

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """Read a record back from what `to_json` wrote; raises pydantic's `ValidationError`, NaN included."""
        if any(word in text for word in ("NaN", "Infinity")) and not _is_finite(text):
            fault: Any = PydanticCustomError("not_finite", "holds NaN or Infinity, which no record has")
            raise ValidationError.from_exception_data(cls.__name__, [{"type": fault, "loc": (), "input": ""}])
        return cls.model_validate_json(text)


class SparseRecord(Record):
    """A record that leaves out fields which say nothing new, so that records and keys of before they were are the same.

    Attributes:
        left_out: Names of the fields that are not written where they are empty or have their default.
    """

    left_out: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_the_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        usual = {name: type(self).model_fields[name].default for name in self.left_out}
        return {k: v for k, v in written.items() if k not in usual or (v and v != usual[k])}


def held_once(record: R) -> R:
    """Return the first of the records that are equal to this one: thousands of jobs hold the same task and target."""
    return cast("R", _first(record))


@lru_cache(maxsize=4096)
def _first(record: Record) -> Record:
    return record


def _odd_texts(value: object) -> Iterator[str]:
    """Yield the texts in a value that UTF-8 cannot hold, as they can be shown."""
    if isinstance(value, str) and value.encode("utf-8", "replace").decode() != value:
        yield visible(value)
    inner = value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        yield from _odd_texts(one)


def _is_finite(text: str) -> bool:
    """Return whether every number of a JSON text is one; pydantic's reader takes the names of those that are not."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces), in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_record(cls: type[R], path: Path) -> R:
    """Read a record from a JSON file; raises `OSError` for a pipe or a device, which may never end."""
    return cls.from_json(content_of(path).decode("utf-8"))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key; anything else, lists included, is replaced."""
    found = dict(base)
    for key, value in changes.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def as_json_dict(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values (tuples as lists, enums as strings)."""
    value: dict[str, Any] = json.loads(record.model_dump_json())
    return value
