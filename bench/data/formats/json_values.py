"""Decoding of values of JSON by the fast decoder, where that sees in them what Python's own does, else by that one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from bench.data.formats.documents import without_repetition
from bench.records.damage import fast_loads

LARGEST_INTEGER = 2**63
"""Integer from which on the fast decoder may have made a float of an integer."""
DECODER = json.JSONDecoder()
STRICT = json.JSONDecoder(object_pairs_hook=without_repetition)
"""This refuses a name that stands twice in one object, and takes half as long again."""


def objects_of(text: str) -> list[Any] | None:
    """Return neighbouring objects of a list; None for what is none.

    A third of the time of Python's decoder, which decides on what the fast one may see otherwise: a name that stands
    twice in an object, integers beyond 64 bits, and what is no JSON to everybody, such as NaN.
    """
    encoded = text.encode("latin-1")
    with contextlib.suppress(ValueError, RecursionError):
        found: list[Any] = fast_loads(b"[" + encoded + b"]")
        if any(type(row) is not dict for row in found):
            return None
        if 2 * sum(map(_texts_in, found)) == encoded.count(b'"') and not any(map(has_large_number, found)):
            return found
    with contextlib.suppress(ValueError, RecursionError):  # told by `value`, with its place
        found = STRICT.decode(f"[{encoded.decode('utf-8')}]")
        return found if all(type(row) is dict for row in found) else None
    return None


def decoded(text: bytes) -> Any:
    """Return a value, as Python's decoder has it."""
    try:
        found = fast_loads(text)
    except ValueError:
        return json.loads(text)
    return json.loads(text) if has_large_number(found) else found


def side_by_side(text: bytes, count: int) -> list[Any] | None:
    """Return values that lie side by side; None where another one lies between them, or one may have been rounded."""
    with contextlib.suppress(ValueError):
        found: list[Any] = fast_loads(b"[" + text + b"]")
        if len(found) == count and not any(map(has_large_number, found)):
            return found
    return None


def has_large_number(found: Any) -> bool:
    """Return whether an object has a number in it that the fast decoder may have rounded."""
    if type(found) is dict:
        for value in found.values():
            if type(value) is float and abs(value) >= LARGEST_INTEGER:
                return True
    return False


def has_all_names(found: Any, text: str) -> bool:
    """Return whether a decoded value has all texts of its source: a name that stands twice has lost one of them.

    It is said of no value whose texts hold quotation marks, or lie deeper than COCO nests them.
    """
    return 2 * _texts_in(found) == text.count('"')


def _texts_in(found: Any) -> int:
    """Count the texts in a value, names included, as deep as COCO nests them; there may be more, but not fewer."""
    if type(found) is not dict:
        return int(type(found) is str)
    count = len(found)
    for item in found.values():
        kind = type(item)
        if kind is str:
            count += 1
        elif kind is dict:
            count += _own_texts(item)
        elif kind is list and item and type(item[0]) in (dict, str):
            count += sum(_own_texts(one) if type(one) is dict else type(one) is str for one in item)
    return count


def _own_texts(row: dict[str, Any]) -> int:
    count = len(row)
    for item in row.values():
        if type(item) is str:
            count += 1
    return count
