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
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import without_repetition
from bench.errors import DatasetError
from bench.records.store.files import file_state

fast_loads: Callable[[bytes], Any]
try:
    from orjson import loads as fast_loads
except ImportError:  # an environment of an adapter may lack it
    fast_loads = json.loads

BLOCK = 1 << 22
"""Bytes that are read at once."""
BYTE_ORDER_MARK = "\xef\xbb\xbf"
MARKS_OF_UTF_16 = ("\xff\xfe", "\xfe\xff")
SPACE = re.compile(r"[ \t\n\r]*")
BETWEEN = re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*\{")
LARGEST_INTEGER = 2**63
"""Integer from which on the fast decoder may have made a float of an integer."""
NEAR = 64
"""Bytes between two values that are rather read than left out."""
SHORT = 1 << 16
"""Characters in which the end of a single object is looked for."""
TAIL = 1 << 16
"""Characters at the end of the window in which the end of a value is looked for."""
DECODER = json.JSONDecoder()
STRICT = json.JSONDecoder(object_pairs_hook=without_repetition)
"""This refuses a name that stands twice in one object, and takes half as long again."""


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
                if not _all_names_in(found, text):
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
            return Placed(found if text.isascii() else self._as_utf8(text, offset), offset, len(text))

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
        return None if _has_large_number(found) else (found, end)

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
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self.value()
            if self._take(",]") == "]":
                return

    def values(self) -> Iterator[Any]:
        """Yield the values of the list that comes next, as `elements` does, without their places and in half the time.

        Many are decoded at once, up to the last place in the window that looks like the end of an object of the list.
        If it was inside of one, what lies before is no JSON, and one value is taken by itself.
        """
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        alone = 0  # up to this place of the file values are taken one by one
        while True:
            self.peek()
            tail = max(self._at, len(self._text) - TAIL)
            ends = [*BETWEEN.finditer(self._text, tail)] if self._start + self._at >= alone else []
            found = self._several(ends[-1].start() + 1) if ends else None
            if found is None:
                alone = self._start + ends[-1].end() if ends else alone
                yield self.value().value
                if self._take(",]") == "]":
                    return
                continue
            self._at = ends[-1].end() - 1
            yield from found

    def _several(self, end: int) -> list[Any] | None:
        """The values up to a place in the window; None if it does not lie between two of them."""
        text = self._text[self._at : end]
        found: list[Any] | None = _decoded_at_once(text.encode("latin-1"))
        if found is not None:
            return found
        try:
            found = STRICT.decode(f"[{text if text.isascii() else text.encode('latin-1').decode('utf-8')}]")
        except (ValueError, RecursionError):  # told by `value`, with its place
            return None
        return found

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
            what = f"{found!r}" if found else "the end of the file"
            raise _unreadable(
                self.file, f"{what} at byte {self._start + self._at}, where {' or '.join(expected)} is expected"
            )
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

    def _as_utf8(self, text: str, offset: int) -> Any:
        try:
            return STRICT.decode(text.encode("latin-1").decode("utf-8"))
        except UnicodeDecodeError:
            raise _unreadable(self.file, f"the value at byte {offset} is not UTF-8") from None


def _decoded_at_once(text: bytes) -> list[Any] | None:
    """Return the values of a list without its brackets, in a third of Python's time; None where it may say otherwise.

    That is for a list with a name that stands twice in an object, objects nested more than once, integers beyond 64
    bits, and what is no JSON to everybody, such as NaN.
    """
    if any(mark in text for mark in (b'" :', b'"\t:', b'"\n:', b'"\r:')):
        return None
    try:
        found = fast_loads(b"[" + text + b"]")
    except ValueError:
        return None
    names = 0
    spellings: set[str] = set()
    for row in found:
        if type(row) is not dict:
            return None
        names += len(row)
        spellings.update(row)
        for value in row.values():
            if type(value) is dict:
                names += len(value)
                spellings.update(value)
            elif type(value) is float and abs(value) >= LARGEST_INTEGER:
                return None
    if any(name[-1:] in (" ", ":") for name in spellings):
        return None
    # A quotation mark and a colon end a name, or begin a text behind a space or another colon. Behind other signs a
    # text may begin so, too: then there are more ends than names, as there are where a name stands twice.
    ends = text.count(b'":') - text.count(b' ":') - text.count(b':":')
    return found if names == ends else None


def _one_decoded(text: bytes) -> Any:
    """Return a value, as Python's decoder has it."""
    try:
        found = fast_loads(text)
    except ValueError:
        return json.loads(text)
    return json.loads(text) if _has_large_number(found) else found


def _has_large_number(found: Any) -> bool:
    """Return whether an object has a number in it that the fast decoder may have rounded."""
    if type(found) is dict:
        for value in found.values():
            if type(value) is float and abs(value) >= LARGEST_INTEGER:
                return True
    return False


def _all_names_in(found: Any, text: str) -> bool:
    """Return whether a decoded value has a name for each colon of its text: one that stands twice has lost one.

    It is said of no value whose texts hold colons, or whose objects are nested deeper than COCO nests them.
    """
    colons = text.count(":")
    if not isinstance(found, dict):
        return not colons
    count = len(found)
    if count == colons:
        return True
    for item in found.values():
        if isinstance(item, dict):
            count += len(item)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            count += sum(len(one) for one in item if isinstance(one, dict))
    return count == colons


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
        """Return the values at these places, each array of shape (N,); raises `DatasetError` if the file has changed
        since.
        """
        if FileState.of(self.file) != self:
            raise DatasetError(
                f"{self.file} has changed since it was opened. Let it be while it is in use, and run the command again."
            )
        if not len(offsets):
            return []
        starts, sizes = offsets.tolist(), lengths.tolist()
        first, end = min(starts), max(start + size for start, size in zip(starts, sizes, strict=True))
        with self.file.open("rb", buffering=0) as stream:
            if end - first <= sum(sizes) + NEAR * len(sizes):  # those of an image mostly lie side by side
                stream.seek(first)
                text = stream.read(end - first)
                parts = [text[start - first : start - first + size] for start, size in zip(starts, sizes, strict=True)]
                return [_one_decoded(part) for part in parts]
            found = []
            for start, size in zip(starts, sizes, strict=True):
                stream.seek(start)
                found.append(_one_decoded(stream.read(size)))
        return found


def _unreadable(file: Path, reason: str) -> DatasetError:
    return DatasetError(f"{file} cannot be read as JSON: {reason}. Restore the file from its source.")
