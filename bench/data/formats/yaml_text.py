"""YAML from anybody: what would take all memory, all time or the stack is refused before it is built."""

from __future__ import annotations

from typing import Any

import yaml

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
            _check_text(event.value, line)
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


def _check_text(value: str, line: int) -> None:
    if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise LimitError(f"line {line}: holds a NUL character or half of a surrogate pair, which no file can be named")


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
