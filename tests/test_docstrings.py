"""Docstrings are sentences: each begins with a capital or the name of code, says something, and ends with a stop."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(file for folder in ("adapters", "bench") for file in (ROOT / folder).rglob("*.py"))

NAME_OF_CODE = re.compile(r"`|[a-z]\w*(?:[./_-]\w+|'s\b)")
"""A word that may begin a sentence in lower case: quoted code, a file, a path, a package with its s."""
QUESTION = ("How", "What", "When", "Where", "Whether", "Which", "Who", "Why")
NOUN_PHRASE = ("A", "All", "An", "Both", "Each", "Every", "Its", "One", "The", "This")
PROPERTIES = ("property", "cached_property", "contextmanager")
EXPLAINED = {"bench/cli/commands": {"add_arguments"}, "options.py": {"abilities", "usage_errors"}}
"""Part of a path -> functions that each such file has, which a contract explains once for all."""


def violations(tree: ast.AST) -> list[str]:
    """Names of what has a docstring whose first paragraph is no sentence, each with the reason."""
    return [f"{name}: {why}" for name, node in public(tree, "module") if (why := fault(node)) is not None]


@cache
def of_all_files() -> tuple[list[str], list[str]]:
    """What has no docstring and is not explained by a contract, and the violations of those that have one."""
    without, no_sentence = [], []
    for file in FILES:
        path, tree = str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))
        explained = set().union(*(names for part, names in EXPLAINED.items() if part in path))
        for name, node in public(tree, "module"):
            if ast.get_docstring(node) is None and name not in explained and file.stat().st_size:
                without.append(f"{path}: {name}")
        no_sentence += [f"{path}: {line}" for line in violations(tree)]
    return without, no_sentence


def public(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    """A module with the public classes, functions and methods in it."""
    yield name, node
    for inner in getattr(node, "body", ()):
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and inner.name[0] != "_":
            yield from public(inner, inner.name) if isinstance(inner, ast.ClassDef) else [(inner.name, inner)]


def fault(node: ast.AST) -> str | None:
    text = ast.get_docstring(node)
    if text is None:
        return None
    first = " ".join(text.split("\n\n")[0].split())
    word = first.partition(" ")[0].rstrip(".,:;")
    if first[:1].islower() and not NAME_OF_CODE.match(first):
        return f"begins in lower case: {first!r}"
    if word in QUESTION:
        return f"begins as a question, and says nothing of its own: {first!r}"
    if isinstance(node, ast.FunctionDef) and word in NOUN_PHRASE and not is_property(node):
        return f"is a noun phrase; begin with what the function does, such as Return: {first!r}"
    return None if first.endswith((".", ":", "…")) else f"does not end with a full stop: {first!r}"


def is_property(node: ast.FunctionDef) -> bool:
    """Whether a function is read like a value, which a noun phrase may name."""
    return any(ast.unparse(one).rpartition(".")[2] in PROPERTIES for one in node.decorator_list)


def test_everything_public_has_a_docstring_but_what_a_contract_explains():
    without, _ = of_all_files()
    assert not without, "\n".join(without)


def test_every_public_docstring_begins_and_ends_as_a_sentence():
    _, no_sentence = of_all_files()
    assert not no_sentence, "\n".join(no_sentence)


@pytest.mark.parametrize(
    ("docstring", "reason"),
    [
        ("Return the area.", None),
        ("`area` in pixels.", None),
        ("state.json of the framework's.", None),
        ("torchvision's networks.", None),
        ("returns the area.", "lower case"),
        ("Whether it is empty.", "question"),
        ("The area that is covered.", "noun phrase"),
        ("Return the area", "full stop"),
    ],
)
def test_a_docstring_that_is_no_sentence_is_found(docstring, reason):
    found = violations(ast.parse(f'"""A module."""\ndef area():\n    """{docstring}"""\n'))
    assert [reason in line for line in found] == ([] if reason is None else [True])
    assert not violations(ast.parse(f'"""A module."""\n@property\ndef _area():\n    """{docstring}"""\n'))
