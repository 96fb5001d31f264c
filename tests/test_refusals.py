"""Every refusal is heard of in a test: some words of its message stand there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFUSALS = ("BenchError", "DatasetError", "SuiteError", "PluginError", "ShapeError", "StoreError", "Unsupported",
            "OddValue", "LimitError")  # fmt: skip
WORDS = 3
"""So many words in a row, of a message, are taken to be it; all of a part that has fewer."""
LEAST = 8
"""Letters that such words have at least."""


def messages(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Yield line and the parts in plain words of every message that a refusal is made with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS and node.args:
            yield node.lineno, [part for part in plain_parts(node.args[0]) if re.search(r"\w", part)]


def plain_parts(message: ast.AST) -> list[str]:
    """The parts of a message that are the same each time, neighbours in one."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return [message.value]
    if isinstance(message, ast.JoinedStr):
        return [part.value for part in message.values if isinstance(part, ast.Constant)]
    return [part for inner in ast.iter_child_nodes(message) for part in plain_parts(inner)]


def windows(part: str) -> Iterator[str]:
    """Words of a part in a row, as a test may quote them."""
    words = part.strip(" :;,.'\"()\n").split(" ")
    for start in range(max(1, len(words) - WORDS + 1)):
        some = " ".join(words[start : start + WORDS]).strip()
        if len(some) >= LEAST:
            yield some


def quoted() -> str:
    """All texts of the tests, without the signs that regular expressions put before others."""
    texts = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return re.sub(r"\\(\W)", r"\1", "\n".join(texts))


def untested() -> list[str]:
    heard, found = quoted(), []
    for package in ("bench", "adapters"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for line, parts in messages(ast.parse(file.read_text(encoding="utf-8"))):
                sought = [some for part in parts for some in windows(part)]
                if sought and not any(some in heard for some in sought):
                    found.append(f"{file.relative_to(ROOT)}:{line}: {' … '.join(parts)[:100]}")
    return found


def test_every_refusal_has_a_test():
    found = untested()
    assert not found, "cover these by tests:\n" + "\n".join(found)


def test_a_refusal_without_a_test_would_be_found():
    tree = ast.parse(
        'raise BenchError(f"{x} is wholly" f" unheard of {y}; say so")\nraise ValueError("not one of ours")'
    )
    assert list(messages(tree)) == [(1, [" is wholly unheard of ", "; say so"])]
    assert list(windows(": is wholly unheard of ")) == ["is wholly unheard", "wholly unheard of"]
