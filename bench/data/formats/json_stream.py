"""Reading of JSON files of any size, one value at a time, with the place of each in the file.

Python's own decoder takes one value from a window on the text; the window moves on, so that the
file is never held as a whole, and a long list not as Python objects. The window is decoded as
Latin-1, in which a byte is a character: a place in the text is a place in the file, from where
`FileState.rows` reads a value again at the cost of that value alone. Values that are not ASCII are
decoded a second time, as the UTF-8 they are.

Kept beside the libraries because it is the one that gives the place of every value and takes what
Python's decoder takes (NaN among the numbers of a row that is otherwise sound), at a fixed cost in
memory. It is not the fastest. A file of 62 MB with 80 000 polygons, read once on one core, took
1.6 s and 20 MiB here, 1.0 s with ijson 3.6 (no places), 2.1 s and 375 MiB with json, 1.0 s and
549 MiB with orjson 3.13, and 0.1 s and the size of the file with msgspec 0.22, which then has not
decoded a row yet. The index made from it is remembered, so that a file is read once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.json_values import (
    DECODER,
    STRICT,
    decoded,
    has_all_names,
    has_large_number,
    objects_of,
    side_by_side,
)
from bench.errors import DatasetError
from bench.records.damage import OPENED, fast_loads
from bench.records.store.files import file_state

BLOCK = 1 << 22
"""Bytes that are read at once."""
BYTE_ORDER_MARK = "\xef\xbb\xbf"
MARKS_OF_UTF_16 = ("\xff\xfe", "\xfe\xff")
SPACE = re.compile(r"[ \t\n\r]*")
BETWEEN = re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*\{")
NEAR = 64
"""Bytes between two values that are rather read than left out."""
SHORT = 1 << 16
"""Characters in which the end of a single object is looked for."""
STRETCH = 1 << 15
"""Characters that are decoded at once: so few that their objects stay in the processor's caches, and are fewer than
those after which Python collects garbage."""
TRIES = 64
"""Signs that may be the end of an object that are looked at, from the end of a stretch backwards."""


class Placed(NamedTuple):
    """A value and where it lies: its first byte and its length in bytes."""

    value: Any
    offset: int
    length: int


class JsonStream:
    """The values of a JSON file, in its order; a context manager.

    `members` and `elements` walk an object and a list; between two steps the caller takes the value
    that was reached by `value`, `elements` or `members`.
    """

    def __init__(self, file: Path) -> None:
        """Open the file; raises `DatasetError` naming it if it cannot be."""
        self.file = file
        if file.exists() and not file.is_file():
            raise _unreadable(file, "it is a folder, a pipe or a device, no file")
        try:
            self._stream = file.open("rb")
        except OSError as error:
            raise _unreadable(file, error.strerror or str(error)) from None
        self._text, self._start, self._at = "", 0, 0
        self._more()
        if self._text.startswith(BYTE_ORDER_MARK):
            self._at = len(BYTE_ORDER_MARK)
        elif self._text.startswith(MARKS_OF_UTF_16):
            raise _unreadable(file, "it is text in UTF-16, and JSON is UTF-8; save it as that")

    def __enter__(self) -> JsonStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def peek(self) -> str:
        """Return the first character of the next value or mark; '' at the end of the file."""
        while True:
            if self._text[self._at : self._at + 1] <= " ":  # mostly there is none
                space = SPACE.match(self._text, self._at)
                self._at = self._at if space is None else space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Placed:
        """Return the next value as a whole; raises `DatasetError` if there is none."""
        self.peek()
        found: Any
        while True:
            try:
                found, end = self._object_before_another() or DECODER.raw_decode(self._text, self._at)
                text = self._text[self._at : end]
                if not has_all_names(found, text):
                    STRICT.decode(text)
            except json.JSONDecodeError as error:
                if self._more():  # perhaps the window ends within the value
                    continue
                raise _unreadable(self.file, f"{error.msg} at byte {self._start + error.pos}") from None
            except (ValueError, RecursionError) as error:  # a number too long, lists too deep
                raise _unreadable(self.file, f"{error} at byte {self._start + self._at}") from None
            if end == len(self._text) and self._more():  # a number may go on
                continue
            offset = self._start + self._at
            self._at = end
            if not text.isascii():
                try:
                    found = STRICT.decode(text.encode("latin-1").decode("utf-8"))
                except UnicodeDecodeError:
                    raise _unreadable(self.file, f"the value at byte {offset} is not UTF-8") from None
            return Placed(found, offset, len(text))

    def _object_before_another(self) -> tuple[Any, int] | None:
        """Return an object that another one follows, and where it ends, in a third of the time; None if it is none.

        What looks like the end of it may lie within it: then what comes before is no JSON.
        """
        is_object = self._text.startswith("{", self._at)
        between = BETWEEN.search(self._text, self._at, self._at + SHORT) if is_object else None
        if between is None:
            return None
        end = between.start() + 1
        try:
            found = fast_loads(self._text[self._at : end].encode("latin-1"))
        except ValueError:
            return None
        return None if has_large_number(found) else (found, end)

    def members(self) -> Iterator[str]:
        """Yield names of the members of the object that comes next; raises `DatasetError` if none does."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        while True:
            if self.peek() != '"':
                self._take('"')  # tells what is there instead
            name = str(self.value().value)
            self._take(":")
            yield name
            if self._take(",}") == "}":
                return

    def elements(self) -> Iterator[Placed]:
        """Yield elements of the list that comes next; raises `DatasetError` if none does."""
        for found in self._stretches():
            yield from found.placed()

    def stretches(self) -> Iterator[list[Any]]:
        """Yield the values of the list that comes next, some neighbours at once, without their places."""
        for found in self._stretches():
            yield found.values

    def _stretches(self) -> Iterator[_Stretch]:
        """Yield neighbouring elements of the list that comes next, the first one by itself.

        Some are decoded at once, up to a place that looks like the end of an object of the list. If it was inside of
        one, what lies before is no JSON, and one value is taken by itself.
        """
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        alone = self._start + self._at + 1  # up to this place of the file values are taken one by one
        while True:
            self.peek()
            offset = self._start + self._at
            gap = self._gap_ahead() if offset >= alone else None
            text = "" if gap is None else self._text[self._at : gap.start() + 1]
            found = None if gap is None else objects_of(text)
            if gap is not None and found is not None:
                self._at = gap.end() - 1
                yield _Stretch(found, offset, text)
                continue
            alone = alone if gap is None else self._start + gap.end()
            one = self.value()
            yield _Stretch([one.value], one.offset, " " * one.length)
            if self._take(",]") == "]":
                return

    def _gap_ahead(self) -> re.Match[str] | None:
        """Return what looks like the last gap between two objects in the next stretch of text; None if nothing does."""
        stop = self._at + STRETCH
        for _ in range(TRIES):
            stop = self._text.rfind("}", self._at, stop)
            gap = None if stop < 0 else BETWEEN.match(self._text, stop)
            if gap is not None or stop < 0:
                return gap
        return None

    def skip(self) -> None:
        """Leave out the next value; a list is never held as a whole."""
        if self.peek() != "[":
            self.value()
            return
        for _ in self.elements():
            pass

    def _take(self, expected: str) -> str:
        found = self.peek()
        if not found or found not in expected:
            what = f"{repr(found) if found else 'the end of the file'} at byte {self._start + self._at}"
            raise _unreadable(self.file, f"{what}, where {' or '.join(expected)} is expected")
        self._at += 1
        return found

    def _more(self) -> bool:
        """Move the window to the current place and make it longer; False at the end of the file."""
        block = self._stream.read(max(BLOCK, len(self._text) - self._at))
        if not block:
            return False
        self._text = self._text[self._at :] + block.decode("latin-1")
        self._start += self._at
        self._at = 0
        return True


class _Stretch(NamedTuple):
    """Neighbouring elements of a list.

    Attributes:
        offset: First byte of the first of them.
        text: The text of several, a character for a byte; of a single one only as long as it is.
    """

    values: list[Any]
    offset: int
    text: str

    def placed(self) -> Iterator[Placed]:
        """Yield the elements with their places."""
        for value, (start, stop) in zip(self.values, self._spans(), strict=True):
            yield Placed(value, self.offset + start, stop - start)

    def _spans(self) -> list[tuple[int, int]]:
        """Return where each begins and ends in the text."""
        count = len(self.values)
        if count == 1:
            return [(0, len(self.text))]
        if self.text.count("{") == self.text.count("}") == count:  # no object lies within another, no brace in a text
            signs = np.frombuffer(self.text.encode("latin-1"), dtype=np.uint8)
            starts, stops = (np.flatnonzero(signs == ord(brace)).tolist() for brace in "{}")
            return [(start, stop + 1) for start, stop in zip(starts, stops, strict=True)]
        spans, start = [], 0
        for _ in self.values:
            stop = DECODER.raw_decode(self.text, start)[1]
            spans.append((start, stop))
            gap = BETWEEN.match(self.text, stop - 1)
            start = len(self.text) if gap is None else gap.end() - 1
        return spans


@dataclass(frozen=True)
class FileState:
    """A file as it was when places in it were noted.

    Attributes:
        status_changed_ns: Time of change of the inode.
    """

    file: Path
    size: int
    changed_ns: int
    inode: int
    status_changed_ns: int

    @classmethod
    def of(cls, file: Path) -> FileState:
        """Return the state of a file now; raises `DatasetError` if it is not there."""
        state = file_state(file)
        if state is None:
            raise _unreadable(file, "No such file or directory")
        return cls(file, *state)

    def rows(self, offsets: NDArray[np.integer[Any]], lengths: NDArray[np.integer[Any]]) -> list[Any]:
        """Return the values at these places, arrays of shape (N,); raises `DatasetError` if the file has changed."""
        if file_state(self.file) != (self.size, self.changed_ns, self.inode, self.status_changed_ns):
            raise DatasetError(
                f"{self.file} has changed since it was opened. Let it be while it is in use, and run the command again."
            )
        if not len(offsets):
            return []
        starts, sizes = offsets.tolist(), lengths.tolist()
        first, end = min(starts), max(start + size for start, size in zip(starts, sizes, strict=True))
        descriptor = os.open(self.file, OPENED)
        try:
            if end - first <= sum(sizes) + NEAR * len(sizes):  # those of an image mostly lie side by side
                text = os.pread(descriptor, end - first, first)
                together = side_by_side(text, len(starts)) if starts == sorted(starts) else None
                if together is not None:
                    return together
                parts = [text[start - first : start - first + size] for start, size in zip(starts, sizes, strict=True)]
            else:
                parts = [os.pread(descriptor, size, start) for start, size in zip(starts, sizes, strict=True)]
        finally:
            os.close(descriptor)
        return [decoded(part) for part in parts]


def _unreadable(file: Path, reason: str) -> DatasetError:
    return DatasetError(f"{file} cannot be read as JSON: {reason}. Restore the file from its source.")
