"""What every record is: frozen, strict, with a canonical digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

RECORDS_VERSION = 1
IGNORE_LABEL = 255
"""Label of a pixel that is left out of every score."""


class Size(NamedTuple):
    """Image size in pixels, always (height, width)."""

    height: int
    width: int


R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """Base of every record: frozen, strict, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="null")

    def to_json(self) -> str:
        """Return this record as indented JSON with a final newline."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """Read a record back from what `to_json` wrote; raises pydantic's `ValidationError`."""
        return cls.model_validate_json(text)


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces), in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_record(cls: type[R], path: Path) -> R:
    """Read a record from a JSON file."""
    return cls.from_json(path.read_text(encoding="utf-8"))


def as_json_dict(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values (tuples as lists, enums as strings)."""
    value: dict[str, Any] = json.loads(record.model_dump_json())
    return value
