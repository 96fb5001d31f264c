"""Reading of the JSON, YAML and list files that come with data sets."""

from __future__ import annotations

import codecs
import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

from bench.data.formats.yaml_text import read_limited
from bench.errors import DatasetError, in_one_line
from bench.records.damage import content_of

LONGEST_LINE = 4096
"""Characters of a line in a list; no path is longer."""
LONGEST_NUMBER = 18


def read_yaml(path: Path) -> Any:
    """Contents of a YAML file; raises `DatasetError` naming file and line if it is none."""
    try:
        return read_limited(read_text(path))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise DatasetError(f"{path} cannot be read as YAML: {in_one_line(error)}. Fix the file.") from None


def yaml_as_written(path: Path) -> Any:
    """Contents of a YAML file that `read_yaml` takes, every value as the text that stands there.

    YAML takes `no`, `yes`, `on`, `off`, `null`, dates and numbers without quotes for something else than text.
    """
    return yaml.load(read_text(path), Loader=yaml.BaseLoader)


def read_json(path: Path) -> Any:
    """Contents of a JSON file; raises `DatasetError` naming the file if it is none, or says one thing twice."""
    try:
        return json.loads(content_of(path), object_pairs_hook=without_repetition)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: it is not in UTF-8 (byte {error.start}), but probably in the code page of "
            "the machine that wrote it. Save it in UTF-8, for example: iconv -f cp1252 -t utf-8 OLD > NEW"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {in_one_line(error)}. Restore the file from its source."
        ) from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Contents of a JSON file that holds an object; raises `DatasetError` naming the file if it is none."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise DatasetError(f"{path} holds a {type(document).__name__} where an object is expected.")
    return document


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON from its members; raises `ValueError` for a name that stands there twice.

    Readers of JSON take either of the two values, so that such a file means something else to each.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the name {twice[:60]!r} twice")
    return found


def read_text(path: Path) -> str:
    """Contents of a text file in UTF-8, or in UTF-16 if it begins with its mark, as PowerShell writes it.

    Raises:
        DatasetError: If it is missing or neither.
    """
    try:
        content = content_of(path)
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {in_one_line(error)}. It must be a text file in UTF-8.") from None
    if "\0" in text:
        raise DatasetError(f"{path} holds the character NUL; it is no text file in UTF-8. Save it as one.")
    return text


def read_lines(path: Path, known: Container[str] = ()) -> list[str]:
    """Lines of a text file without surrounding space, without empty lines and comments.

    A line that begins with # is a comment, unless it is one of the `known` names.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    longest = max(lines, key=len, default="")
    if len(longest) > LONGEST_LINE:
        raise DatasetError(
            f"{path} has a line of {len(longest)} characters; names of at most {LONGEST_LINE} are expected."
        )
    return [line for line in lines if line and (not line.startswith("#") or line in known)]


def whole_number(text: str) -> int | None:
    """Return the number that up to 18 digits stand for; None for any other text, digits of other scripts included.

    >>> whole_number("007"), whole_number("1.0"), whole_number("\u00b2"), whole_number("9" * 5000)
    (7, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None
