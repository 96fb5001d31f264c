"""Usage errors: what a user can fix.

A `BenchError` says, in one paragraph, what happened, where, what was expected and what to type
next. The command line prints it and exits with code 2. Anything else that escapes is a defect of
the harness and prints a traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

FaultKind = Literal["image", "mask", "size", "orientation", "labels", "colours"]
"""This is what is wrong with the files of one image."""

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Signs that steer a terminal or turn the direction of text, and halves of pairs, which no file can hold."""

_LONG_WORD = re.compile(r"(\S{400})\S{100,}(\S{100})")
"""The begin and the end of a word of over 600 letters; a path is shorter."""


class BenchError(Exception):
    """A usage error, told in one paragraph; words that no reader takes in, of files of others, are cut."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_LONG_WORD.sub(r"\1…\2", str(message)))


class SuiteError(BenchError):
    """A suite file that cannot be understood."""


class PluginError(BenchError):
    """A model, data set, metric, adapter or report that cannot be found or loaded."""


class DatasetError(BenchError):
    """A data set that is missing, incomplete or not what it claims to be.

    Attributes:
        kind: Kind of the fault where the files of one image are to blame: its `image` or `mask` cannot be read, their
            `size` differs, EXIF turns it and nothing says whether its labels, too (`orientation`), its `labels` or
            `colours` are not those of the table. None for all else.
    """

    def __init__(self, message: str, *, kind: FaultKind | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class ShapeError(BenchError):
    """An array whose shape or dtype breaks a contract."""


class StoreError(BenchError):
    """A results folder that is locked, damaged or not there."""


class Unsupported(BenchError):
    """An adapter cannot do this here: it becomes a row of the table, not a crash.

    The message says what is missing and why, for example ``fp16 needs a CUDA device``.
    """


def visible(text: str) -> str:
    r"""Return a text with what steers a terminal, or hides or turns other letters, written out.

    >>> visible("red \x1b[31m, turned \u202e, line\n")
    'red \\x1b[31m, turned \\u202e, line\n'
    """
    return _UNSEEN.sub(lambda sign: sign.group().encode("unicode_escape").decode(), text)


def in_one_line(error: BaseException, longest: int | None = None) -> str:
    r"""Return the first `longest` characters of what an error says, in one line; its kind where it says nothing.

    >>> in_one_line(ValueError("bad header\n  at byte 3")), in_one_line(KeyError())
    ('bad header at byte 3', 'KeyError')
    """
    return " ".join(str(error).split())[:longest] or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    >>> did_you_mean("unet/upsampel", ["unet/upsample", "fake/perfect"])
    " Did you mean 'unet/upsample'?"
    >>> did_you_mean("zzz", ["unet/upsample"])
    ''
    """
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def few(items: Iterable[object], most: int = 8) -> str:
    """Return the first of some names, and how many more there are.

    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    listed = [str(item) for item in items]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


class UsageErrors:
    """Usage errors that do not hide each other: noted one after another, told together, a paragraph each."""

    def __init__(self) -> None:
        self._paragraphs: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._paragraphs)

    def note(self, paragraph: str) -> None:
        """Keep a usage error; one that was noted before is kept once."""
        if paragraph not in self._paragraphs:
            self._paragraphs.append(paragraph)

    @contextmanager
    def noted(self, where: str = "") -> Iterator[None]:
        """Note the usage error that ends the body, if one does, behind the words that say where; then go on."""
        try:
            yield
        except BenchError as error:
            self.note(f"{where}{error}")

    def tell(self) -> None:
        """Raise `SuiteError` with all that was noted; nothing where that is nothing."""
        if self._paragraphs:
            raise SuiteError("\n\n".join(self._paragraphs))
