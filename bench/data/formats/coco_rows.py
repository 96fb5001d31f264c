"""Checked reading of single values of a COCO file, whose types differ from one writer to the next.

Every function returns the value in one form, or raises `OddValue` with what it is instead; nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from bench.errors import DatasetError

GROUP_KEYS = ("isgroupof", "is_group_of", "IsGroupOf")
"""Names under which converters of Open Images keep what COCO calls a crowd."""

CROWD, WITHOUT_MASK, DEGENERATE, REFORMED, CROWD_AS_TEXT, ID_AGAIN = 1, 2, 4, 8, 16, 32
"""Bits that an index keeps of each annotation; see `flags_of`. The last is that of one whose id an earlier one has."""

LARGEST_SIDE = 10**7
INTEGER = re.compile(r"[+-]?\d{1,18}(\.0*)?")
LONGEST_TEXT = 4096
"""Characters of a name or id; no file system has longer ones, and tables make room for the longest."""
LEAST_NUMBERS = 6
"""Numbers of the smallest polygon, a triangle."""


class OddValue(ValueError):
    """A value of another type or range than expected; the message says what it is."""


def shown(value: object) -> str:
    """Return a value for a message, cut after 60 characters."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:59] + "…"


def id_text(value: object) -> str:
    """Return an id in one form, whether it was written as 7, 7.0, "7" or "7.0"; other texts stay.

    >>> id_text(7), id_text(7.0), id_text("7"), id_text("a1")
    ('7', '7', '7', 'a1')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        text = checked_text(value)
        # Ids with zeros in front stay as they are: 007 may be another image than 7.
        plain = INTEGER.fullmatch(text) and str(int(text.partition(".")[0]))
        return plain if plain and text.partition(".")[0] == plain else text
    raise OddValue(f"is {shown(value)}, where a number or a text is expected")


def checked_text(value: object) -> str:
    """Return a text that can be written as UTF-8 and is a file name as far as its characters go."""
    if not isinstance(value, str) or not value:
        raise OddValue(f"is {shown(value)}, where a text is expected")
    if len(value) > LONGEST_TEXT:
        raise OddValue(f"is {shown(value)}, which has {len(value)} characters; at most {LONGEST_TEXT} are expected")
    if "\0" in value:
        raise OddValue(f"is {shown(value)}, which holds the character NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OddValue(f"is {shown(value)}, which is not text in Unicode") from None
    return value


def name_bytes(value: object, where: str) -> bytes:
    """Return a file name in UTF-8, empty where there is none; raises `DatasetError` for what is no name."""
    try:
        return checked_text(value).encode() if value else b""
    except OddValue as error:
        raise DatasetError(f"{where} {error}. Fix the file.") from None


def side(value: object) -> int:
    """Height or width in pixels; 0 where it is not said."""
    if value is None or value == "":
        return 0
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError, OverflowError):
        raise OddValue(f"is {shown(value)}, where a number of pixels is expected") from None
    if isinstance(value, bool) or not math.isfinite(number) or not 0 <= number <= LARGEST_SIDE or number % 1:
        raise OddValue(f"is {shown(value)}, where a number of pixels is expected")
    return int(number)


def flag(value: object) -> bool:
    """Return a yes or no, written as 0, 1, false, true or as one of these in quotes.

    >>> flag("0"), flag(1.0), flag(None)
    (False, True, False)
    """
    if value is None or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    words = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True, "": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise OddValue(f"is {shown(value)}, where 0 or 1 is expected")


def said_area(row: Mapping[str, Any]) -> float:
    """Pixels that an annotation says it has, for the ranges of sizes; nan where it says no number of 0 or more.

    >>> said_area({"area": 12.5}), said_area({"area": "12.5"}), said_area({})
    (12.5, nan, nan)
    """
    area = row.get("area")
    if isinstance(area, int | float) and not isinstance(area, bool) and 0 <= area < math.inf:
        return float(area)
    return math.nan


def is_crowd(row: Mapping[str, Any]) -> bool:
    """Return whether an annotation is a crowd, or a group of objects in Open Images' words."""
    return flag(row.get("iscrowd")) or any(flag(row[key]) for key in GROUP_KEYS if key in row)


class Polygons(NamedTuple):
    """Polygons as COCO nests them, and bits of what was done to them."""

    parts: list[Any]
    flags: int


def nested(segmentation: list[Any]) -> Polygons:
    """Polygons that can be drawn: parts of fewer than three points left out, flat and paired lists nested.

    >>> nested([1, 2, 3, 4, 5, 6]).parts
    [[1, 2, 3, 4, 5, 6]]
    >>> nested([[1, 2], [3, 4], [5, 6]]).parts
    [[1, 2, 3, 4, 5, 6]]
    >>> nested([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4]]) == Polygons([[1, 2, 3, 4, 5, 6]], DEGENERATE)
    True
    """
    try:
        # The usual case, at the cost of a look at the lengths.
        if segmentation and min(map(len, segmentation)) >= LEAST_NUMBERS and not isinstance(segmentation[0][0], list):
            return Polygons(segmentation, 0)
    except (TypeError, KeyError, IndexError):
        pass
    if any(not isinstance(part, list | int | float) for part in segmentation):
        raise OddValue(f"holds {shown(next(p for p in segmentation if not isinstance(p, list | int | float)))}")
    flags = 0
    parts: list[Any] = segmentation
    if segmentation and all(isinstance(part, int | float) for part in segmentation):
        parts, flags = [segmentation], REFORMED
    elif any(isinstance(part, int | float) for part in segmentation):
        raise OddValue("mixes numbers and lists of numbers")
    elif len(segmentation) > 2 and all(_is_pair(part) for part in segmentation):
        parts, flags = [[number for pair in segmentation for number in pair]], REFORMED
    elif any(part and all(_is_pair(pair) for pair in part) for part in segmentation):
        parts = [[n for pair in part for n in (pair if isinstance(pair, list) else [pair])] for part in segmentation]
        flags = REFORMED
    drawable = [part for part in parts if len(part) >= LEAST_NUMBERS]
    if not drawable:
        return Polygons([], flags | WITHOUT_MASK)
    return Polygons(drawable, flags | (DEGENERATE if len(drawable) < len(parts) else 0))


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(number, int | float) for number in value)


def flags_of(row: Mapping[str, Any]) -> int:
    """Return what is to be known of an annotation before it is drawn, as bits."""
    flags = CROWD if is_crowd(row) else 0
    if isinstance(row.get("iscrowd"), str):
        flags |= CROWD_AS_TEXT
    return flags | flags_of_mask(row.get("segmentation"))


def flags_of_mask(segmentation: object) -> int:
    """Return what is to be known of a segmentation before it is drawn, as bits."""
    if isinstance(segmentation, list):
        try:
            return nested(segmentation).flags
        except OddValue:  # told when it is drawn, with its file and image
            return 0
    return 0 if segmentation else WITHOUT_MASK


def file_name_of(row: Mapping[str, Any]) -> str:
    """Name of an image's file; of an address, as LVIS has it alone and some tools as the name, its last two parts.

    >>> file_name_of({"file_name": "https://a.org/b%20c/d.jpg?size=1"})
    'b c/d.jpg'
    """
    name = row.get("file_name")
    if name is None and isinstance(row.get("coco_url"), str):
        name = row["coco_url"]
    elif not (isinstance(name, str) and "://" in name):
        return checked_text(name)
    return checked_text(unquote("/".join(str(name).split("?")[0].rstrip("/").split("/")[-2:])))


def colour(value: object, default: tuple[int, int, int]) -> tuple[int, int, int]:
    """RGB of a category; the default where it has none."""
    if value is None:
        return default
    if isinstance(value, list) and len(value) == 3 and all(isinstance(c, int | float) and 0 <= c <= 255 for c in value):
        return int(value[0]), int(value[1]), int(value[2])
    raise OddValue(f"is {shown(value)}, where three numbers from 0 to 255 are expected")
