"""Code by content: which files of the harness can change a number, and what each of them does.

A file is known by its lines without comments, docstrings and empty ones, so that a change of these is none. The files
behind a module are those that it imports, directly or not, among `NUMBERS`.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import os
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from bench.records.names import file_outside, harness_root
from bench.records.store.files import State, file_state

NUMBERS = (
    "bench.adapter",
    "bench.data.formats",
    "bench.data.labels",
    "bench.data.predictions",
    "bench.dataset",
    "bench.datasets",
    "bench.measure",
    "bench.metric",
    "bench.metrics",
    "bench.records.instances",
    "bench.records.mask_runs",
    "bench.records.predictions",
    "bench.records.prompts",
    "bench.records.store.samples",
    "bench.run.worker",
    "bench.score",
)
"""Modules, and whole packages, whose code can change a number; what else is imported carries settings and files."""

CODE_OF = "BENCH_CODE_OF"
"""Variable with the folder of a harness whose code stands in keys and scores in place of the running one's."""

DIGITS = 12
"""This many hexadecimal digits of a file's SHA-256 are enough to tell two states of one file apart."""

Code = dict[str, str]
"""Path below the harness's root -> the first digits of the SHA-256 of what its code says."""


def reference_root() -> Path:
    """Return the folder of the harness whose code stands in keys and scores: the running one, unless `--accept-code`
    says else.
    """
    return Path(os.environ.get(CODE_OF) or harness_root())


def code_behind(modules: Iterable[str], root: Path | None = None, *, leave_out: str = "") -> Code:
    """Return the code of modules and of what they import among `NUMBERS`, in order of their paths.

    Args:
        modules: Names below `bench`; one that lies outside of this tree is known as `outside:NAME.py`, and one that
            is nowhere is passed over.
        root: Folder that holds `bench`; `reference_root` if left out.
        leave_out: A package of `NUMBERS` that is not followed.
    """
    tree = root or reference_root()
    found: dict[str, Path] = {}
    ahead = [name for name in modules if name]
    while ahead:
        name = ahead.pop()
        file = _file_of(name, tree) or file_outside(name)
        if file is None or name in found or (leave_out and _within(name, leave_out)):
            continue
        found[name] = file
        ahead += [other for other in imported(file, tree) if any(_within(other, package) for package in NUMBERS)]
    return {_place(path, tree): content_of(path) for path in sorted(found.values())}


def _place(path: Path, tree: Path) -> str:
    return path.relative_to(tree).as_posix() if path.is_relative_to(tree) else f"outside:{path.name}"


def code_of_files(files: Iterable[Path], root: Path) -> Code:
    """Return the code of files, by their paths below a folder."""
    return {file.relative_to(root).as_posix(): content_of(file) for file in sorted(files)}


def as_key_part(code: Mapping[str, str]) -> str:
    """Return code as a part of a key that can be read back: `path=digits …`."""
    return " ".join(f"{path}={digits}" for path, digits in sorted(code.items()))


FILES_NAMED = 4
"""At most this many changed files are named; the others are counted."""


def changed_files(before: str, after: str) -> str:
    """Return which files of `path=digits …` changed, came or went; a version without files told a digest of all of
    them.
    """
    if "=" not in before or "=" not in after:
        return "not known by its files before" if "=" in after else "changed"
    old, new = (dict(entry.split("=", 1) for entry in code.split()) for code in (before, after))
    told = [
        f"{path} {'came' if path not in old else 'went' if path not in new else 'changed'}"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]
    more = [f"and {len(told) - FILES_NAMED} more"] if len(told) > FILES_NAMED else []
    return ", ".join([*told[:FILES_NAMED], *more])


def content_of(file: Path) -> str:
    """Return the first digits of the SHA-256 of what a Python file says, whatever its comments and docstrings."""
    return _content(file, file_state(file))


@lru_cache(maxsize=4096)
def _content(file: Path, _: State | None) -> str:
    source = file.read_bytes()
    with contextlib.suppress(SyntaxError, ValueError, tokenize.TokenError):  # what is no Python is known by its bytes
        source = "\n".join(_telling_lines(source)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(source).hexdigest()[:DIGITS]


def _telling_lines(source: bytes) -> Iterator[str]:
    """Return the lines of a file without comments, docstrings and empty ones."""
    lines = io.TextIOWrapper(io.BytesIO(source), tokenize.detect_encoding(io.BytesIO(source).readline)[0]).readlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # below attributes there are some, too
            for number in range(node.lineno, node.end_lineno or node.lineno):
                lines[number] = ""
            lines[node.lineno - 1] = lines[node.lineno - 1][: node.col_offset]
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = lines[token.start[0] - 1]
            lines[token.start[0] - 1] = line[: token.start[1]]
    return (line.rstrip() for line in lines if line.strip())


def imported(file: Path, root: Path) -> tuple[str, ...]:
    """Return names of the modules of the tree that a file imports when it runs, those inside functions too."""
    return _imported(file, root, file_state(file))


@lru_cache(maxsize=4096)
def _imported(file: Path, root: Path, _: State | None) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for node in _statements(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names[inner if _file_of(inner, root) else node.module] = None
    return tuple(names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements but those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _statements(node)


def _file_of(module: str, root: Path) -> Path | None:
    stem = root.joinpath(*module.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
