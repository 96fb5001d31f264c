"""Files, modules and commands that code, comments and pages name are there, under that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.cli.main import found_commands

ROOT = Path(__file__).resolve().parents[1]
CODE = [file for folder in ("adapters", "bench", "tests") for file in (ROOT / folder).rglob("*.py")]
PAGES = [file for folder in (".", "adapters", "bench", "docs", "results") for file in (ROOT / folder).glob("*.md")]
TEXTS = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8")
    for file in [*CODE, *PAGES]
    if file.name != "CHANGELOG.md"  # it names what was there
}
SAYING = {name: text for name, text in TEXTS.items() if not name.startswith("tests/")}  # tests make files up

A_FILE = re.compile(r"(?<![\w./-])((?:bench|adapters|tests|_torch)/[\w/]+\.py|_[a-z]\w*\.py)\b")
A_NAME = re.compile(r"(?<![\w./-])((?:bench|adapters)(?:\.\w+)+)")
AN_ACTION = re.compile(r"\bbench (data|new|weights) ([a-z]+)")
MADE_UP = {"bench.adapters", "bench.loggers", "bench.metrics.NAME"}
"""Groups of entry points without a package of ours, and a name that stands for any."""


def found(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield (file:line, match) of everything that is said."""
    for name, text in SAYING.items():
        for number, line in enumerate(text.splitlines(), 1):
            yield from ((f"{name}:{number}", match) for match in pattern.finditer(line))


def is_there(dotted: str) -> bool:
    """Whether a name is a module, or the first word behind a module stands in it."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        path = "/".join(parts[:end])
        module = TEXTS.get(f"{path}.py", TEXTS.get(f"{path}/__init__.py"))
        if module is not None:
            return end == len(parts) or parts[end] == "__path__" or bool(re.search(rf"\b{parts[end]}\b", module))
    return False


def test_every_file_of_ours_that_is_named_is_there():
    known = {*TEXTS, *(name.rpartition("/")[2] for name in TEXTS), *(name.removeprefix("adapters/") for name in TEXTS)}
    assert [f"{where}: {one[1]}" for where, one in found(A_FILE) if one[1] not in known] == []


def test_every_module_of_ours_that_is_named_is_there():
    named = [(where, one[1]) for where, one in found(A_NAME) if one[1] not in MADE_UP]
    assert [f"{where}: {name}" for where, name in named if not is_there(name)] == []


def test_every_action_of_a_command_that_is_named_is_one():
    actions = {command: found_commands(command) for command in ("data", "new", "weights")}
    told = [(where, one) for where, one in found(AN_ACTION) if not where.startswith("bench/cli/deprecated.py")]
    assert [f"{where}: {one[0]}" for where, one in told if one[2] not in actions[one[1]]] == []
