"""Reading of the JSON, YAML and list files that come with data sets, or from anybody.

YAML that would take all memory, all time or the stack is refused before it is built.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

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
    """Contents of a text file in UTF-8, or UTF-16 with its mark, as of PowerShell; raises `DatasetError` for none."""
    try:
        content = content_of(path)
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {in_one_line(error)}. It must be a text file in UTF-8.") from None
    if "\0" in text:
        raise DatasetError(f"{path} holds the character NUL; it is no text file in UTF-8. Save it as one.")
    return text


def read_lines(path: Path, is_name: Callable[[str], bool] = lambda _: False) -> list[str]:
    """Lines of a text file without surrounding space, empty lines and comments, that begin with # and are no name."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    longest = max(lines, key=len, default="")
    if len(longest) > LONGEST_LINE:
        raise DatasetError(
            f"{path} has a line of {len(longest)} characters; names of at most {LONGEST_LINE} are expected."
        )
    return [line for line in lines if line and (not line.startswith("#") or is_name(line))]


def whole_number(text: str) -> int | None:
    """Return the number that up to 18 digits stand for; None for any other text, digits of other scripts included.

    >>> whole_number("007"), whole_number("1.0"), whole_number("\u00b2"), whole_number("9" * 5000)
    (7, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


MAX_DEPTH = 60
"""Lists and mappings within each other, aliases counted as what they stand for."""

MAX_NODES = 500_000
"""Values in all, aliases counted as what they stand for."""

LARGEST_INTEGER = 2**63 - 1


class LimitError(yaml.YAMLError):
    """A document beyond the limits of this module."""


def read_limited(text: str) -> Any:
    """Return a YAML document as plain values.

    Raises:
        yaml.YAMLError: If it is no YAML, or nested too deeply, too large, within itself, or holds an integer of
            more than 64 bits or text that no file or record can hold.
    """
    check_limits(text)
    try:
        document = yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError, OverflowError) as error:
        raise LimitError(f"holds a value that cannot be read: {str(error).partition(';')[0]}") from None
    _check_integers(document)
    return document


class _Loader(yaml.SafeLoader):
    """Builds plain values; a key that stands twice in one mapping means something else to each reader."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise LimitError(f"line {key.start_mark.line + 1}: the key {key.value[:60]!r} stands twice")
            if isinstance(key, yaml.ScalarNode):
                seen.add((key.tag, key.value))
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def check_limits(text: str) -> None:
    """Follow the events of a document without building it; raises `yaml.YAMLError` at the first limit."""
    open_nodes: list[_Node] = []
    anchors: dict[str, _Node | None] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(_Node(event.anchor))
            if event.anchor:
                anchors[event.anchor] = None  # known, and not finished
            if len(open_nodes) > MAX_DEPTH:
                raise LimitError(f"line {line}: more than {MAX_DEPTH} lists and mappings within each other")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            done = open_nodes.pop()
        elif isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            found = anchors.get(name)
            if name in anchors and found is None:
                raise LimitError(f"line {line}: *{name} stands within what it stands for")
            done = _Node(None) if found is None else found
        elif isinstance(event, yaml.ScalarEvent):
            if "\0" in event.value or any("\ud800" <= sign <= "\udfff" for sign in event.value):
                what = "holds a NUL character or half of a surrogate pair, which no file can be named"
                raise LimitError(f"line {line}: {what}")
            done = _Node(event.anchor)
        else:
            continue
        if done.anchor and not isinstance(event, yaml.AliasEvent):
            anchors[done.anchor] = done
        if open_nodes:
            open_nodes[-1].add(done)
        if max(done.count, sum(node.count for node in open_nodes)) > MAX_NODES:
            raise LimitError(f"line {line}: more than {MAX_NODES} values, aliases counted as what they stand for")
        if len(open_nodes) + done.depth > MAX_DEPTH + 1:
            raise LimitError(f"line {line}: more than {MAX_DEPTH} lists and mappings within each other")


class _Node:
    """A value: how many values it comes to, itself included, and how deeply they are nested."""

    def __init__(self, anchor: str | None) -> None:
        self.anchor, self.count, self.depth = anchor, 1, 1

    def add(self, inner: _Node) -> None:
        self.count += inner.count
        self.depth = max(self.depth, inner.depth + 1)


def _check_integers(document: Any) -> None:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise LimitError("holds an integer of more than 64 bits; put it in quotes if it is text")
