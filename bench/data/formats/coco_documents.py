"""Rows of a COCO file as types: each is held against them as it streams by, and again when a ground truth is read.

Files differ from one writer to the next in how they write ids, sizes and flags; `coco_rows` says what is accepted, and
brings each value to one form. Keys that no type names stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator, TypeAdapter, ValidationError
from typing_extensions import Required

from bench.data.formats.coco_rows import OddValue, checked_text, colour, flag, id_text, shown, side
from bench.data.formats.typed import Lenient
from bench.errors import DatasetError

T = TypeVar("T")


def _or_none(check: Callable[[object], T]) -> PlainValidator:
    return PlainValidator(lambda value: None if value is None else check(value))


def _name(value: object) -> str:
    return checked_text(value) if isinstance(value, str) else str(id_text(value) and value)


def _segment_number(value: object) -> int:
    text = id_text(value)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 24:
        raise OddValue(f"is {shown(value)}, where a number from 1 to 2^24 - 1 is expected")
    return int(text)


Id = Annotated[str, PlainValidator(id_text)]
OptionalId = Annotated[str | None, _or_none(id_text)]
OptionalText = Annotated[str | None, _or_none(checked_text)]
Side = Annotated[int, PlainValidator(side)]
YesNo = Annotated[bool, PlainValidator(flag)]


class CocoImage(Lenient, total=False):
    """A row of `images`; LVIS and Open Images add for which categories it was looked through."""

    id: Required[Id]
    file_name: OptionalText
    coco_url: Any
    height: Side
    width: Side
    neg_category_ids: list[Id] | None
    not_exhaustive_category_ids: list[Id] | None
    pos_category_ids: list[Id] | None


class CocoCategory(Lenient, total=False):
    """A row of `categories`."""

    id: Required[Id]
    name: Required[Annotated[str, PlainValidator(_name)]]
    color: Annotated[tuple[int, int, int] | None, _or_none(lambda value: colour(value, (0, 0, 0)))]
    isthing: YesNo
    supercategory: Any
    frequency: Any


class CocoSegment(Lenient, total=False):
    """A segment of a panoptic annotation; 0 is no segment."""

    id: Required[Annotated[int, PlainValidator(_segment_number)]]
    category_id: Required[Id]
    iscrowd: YesNo
    isgroupof: YesNo
    is_group_of: YesNo
    IsGroupOf: YesNo
    score: Any


class CocoAnnotation(Lenient, total=False):
    """A row of `annotations`: an object, whose mask is looked at when it is drawn, or all segments of an image."""

    id: Any
    image_id: Required[Id]
    category_id: OptionalId
    file_name: OptionalText
    iscrowd: YesNo
    isgroupof: YesNo
    is_group_of: YesNo
    IsGroupOf: YesNo
    segments_info: list[CocoSegment] | None
    segmentation: Any
    bbox: Any
    area: Any


class CocoSegmented(Lenient):
    """All segments of an image, as panoptic predictions have them."""

    image_id: Id
    file_name: Annotated[str, PlainValidator(checked_text)]
    segments_info: list[CocoSegment]


class CocoResult(Lenient, total=False):
    """A detected object, as pycocotools' loadRes takes it; mask and score are looked at for all rows at once."""

    image_id: Required[Id]
    category_id: Required[Id]
    segmentation: Any
    score: Any


UNUSUAL = frozenset({"file_name", "segments_info", "isgroupof", "is_group_of", "IsGroupOf"})
"""Names in annotations that COCO's own objects do not have."""


def is_usual(row: Mapping[str, Any]) -> bool:
    """Return whether an annotation is written as COCO's own objects, so that no value needs a check or another form."""
    crowd = row.get("iscrowd", 0)
    return (
        type(row.get("image_id")) is int
        and type(row.get("category_id")) is int
        and type(crowd) is int
        and 0 <= crowd <= 1
        and UNUSUAL.isdisjoint(row)
    )


IMAGE = TypeAdapter(CocoImage)
CATEGORY = TypeAdapter(CocoCategory)
ANNOTATION = TypeAdapter(CocoAnnotation)
SEGMENTED = TypeAdapter(CocoSegmented)
RESULT = TypeAdapter(CocoResult)


def as_row(adapter: TypeAdapter[T], row: Any, what: str, file: Path) -> T:
    """Return a row as its type; raises `DatasetError` with the first value that is of another, and how many are."""
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        first = faults[0]
        name = ".".join(str(part) for part in first["loc"])
        if not name:
            told = f"{what} is {shown(row)}, where an object is expected"
        elif first["type"] == "missing" or (first["input"] is None and len(first["loc"]) == 1):
            told = f"{what} has no {name}, which COCO's format requires"
        else:
            said = first["msg"].removeprefix("Value error, ")
            by_hand = first["type"] == "value_error"
            told = f"{name} of {what} {said}" if by_hand else f"{name} of {what} is {shown(first['input'])}: {said}"
        further = f"; {len(faults) - 1} further values of it are wrong" if len(faults) > 1 else ""
        raise DatasetError(f"{file}: {told}{further}. Fix the file.", kind="labels") from None
    except RecursionError:
        raise DatasetError(f"{file}: {what} is nested too deeply. Fix the file.", kind="labels") from None
