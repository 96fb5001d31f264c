"""Code by content: which files of the harness can change a number, and what each of them does.

A file is known by its lines without comments, docstrings and empty ones, so that a change of these is none. The files
behind a module are those that it imports, directly or not, among `NUMBERS`.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tokenize
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.records.damage import content_of as content_of_file
from bench.records.damage import json_of
from bench.records.names import file_outside, harness_root
from bench.records.store.files import State, file_state, write_atomically

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
    "bench.records.run_kernels",
    "bench.records.prompts",
    "bench.records.store.samples",
    "bench.run.worker",
    "bench.score",
)
"""Modules, and whole packages, whose code can change a number; what else is imported carries settings and files."""

CODE_OF = "BENCH_CODE_OF"
"""Variable with the folder of a harness whose code stands in keys and scores in place of the running one's."""

INSTALLED = ("site-packages", "dist-packages")
"""Folders of packages that have nothing to do with one another."""

DIGITS = 12
"""This many hexadecimal digits of a file's SHA-256 are enough to tell two states of one file apart."""

Code = dict[str, str]
"""Path below the harness's root -> the first digits of the SHA-256 of what its code says."""

States = Mapping[Path, State | None]
"""Path -> its state, taken before it was read; None where there was nothing."""


class Remembered:
    """Code that was read from files, given again while none of these files and folders has changed.

    Looking at the state of a file costs a hundredth of reading it.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[tuple[tuple[Path, State | None], ...], Code]] = {}

    def get(self, key: Hashable, work_out: Callable[[], tuple[Code, States]]) -> Code:
        """Return the answer to a question, which `work_out` reads with the states of all that it was read from."""
        known = self._known.get(key)
        if known is None or any(file_state(path) != state for path, state in known[0]):
            answer, states = work_out()
            known = self._known[key] = tuple(states.items()), answer
        return known[1]


_BEHIND, _IN_FOLDERS = Remembered(), Remembered()


def reference_root() -> Path:
    """Return the folder of the harness whose code stands in keys and scores; see `--accept-code`."""
    return Path(os.environ.get(CODE_OF) or harness_root())


def code_behind(modules: Iterable[str], root: Path | None = None, *, leave_out: str = "") -> Code:
    """Return the code of modules and of what they import among `NUMBERS`, in order of their paths.

    Args:
        modules: Names below `bench`; one that lies outside of this tree is known as `outside:NAME.py`, and one that
            is nowhere is passed over. What it imports from beside it, or from its package, is known as well.
        root: Folder that holds `bench`; `reference_root` if left out.
        leave_out: A package of `NUMBERS` that is not followed.
    """
    tree, names = root or reference_root(), tuple(name for name in modules if name)
    # Which file a name outside of the tree stands for may be another one than before.
    outside = tuple(file_outside(name) for name in names)
    key = names, outside, tree, leave_out
    # Asked for before each job of a run: the same files are not gone through for each.
    return dict(_BEHIND.get(key, lambda: _code_behind(names, tree, leave_out)))


def _code_behind(names: Iterable[str], tree: Path, leave_out: str) -> tuple[Code, States]:
    found: dict[str, Path] = {}
    places: dict[Path, str] = {}
    states: dict[Path, State | None] = {}
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        own = _file_of(name, tree)
        file = own or file_outside(name)
        if file is None or name in found or (leave_out and _within(name, leave_out)):
            continue
        found[name] = file
        states[file] = file_state(file)
        beside = {} if own else files_beside([file])
        states |= {other: file_state(other) for other in beside}
        place = file.relative_to(tree).as_posix() if file.is_relative_to(tree) else f"outside:{file.name}"
        places |= {file: place, **beside}
        further = (module for one in (file, *beside) for module in imported(one, tree))
        ahead += [other for other in further if any(_within(other, package) for package in NUMBERS)]
    _keep()
    code: Code = {}
    for path in sorted(places):
        place = places[path]
        while place in code:  # two files from outside have one name
            place += "'"
        code[place] = content_of(path)
    return code, states


def files_beside(files: Iterable[Path]) -> dict[Path, str]:
    """Return the files that files outside of the tree import from their own package, or from the folders they lie in.

    Returns:
        Each further file, and what it imports in turn -> its place: `outside:` and the path below where it was found.
    """
    ahead, found = [file.resolve() for file in files], dict[Path, str]()
    given = {*ahead}
    while ahead:
        file = ahead.pop()
        for other, place in _imported_beside(file):
            if other not in found and other not in given:
                found[other] = f"outside:{place}"
                ahead.append(other)
    return found


def _imported_beside(file: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that a file imports from its package, its folder or the one above, and its path below that."""
    homes = [file.parent]
    while (homes[-1] / "__init__.py").is_file():
        homes.append(homes[-1].parent)
    package = homes[-2].name if len(homes) > 1 else None
    for module, name in _parsed(file, file_state(file)).imports:
        rest = module.lstrip(".")
        dots, first = len(module) - len(rest), rest.split(".")[0]
        if dots:
            places = homes[min(dots, len(homes)) - 1 :][:1]
        elif first == package:
            places = homes[-1:]
        else:
            ours = first in ("bench", "adapters")
            places = [] if ours else [p for p in (file.parent, file.parent.parent) if p.name not in INSTALLED]
        names = [inner for inner in (".".join(filter(None, (rest, name))), rest) if inner]
        for place in places:
            other = next((found for inner in names if (found := _file_of(inner, place))), None)
            if other is not None:
                yield other.resolve(), other.relative_to(homes[-1] if dots else place).as_posix()
                break


def code_of_files(files: Iterable[Path], root: Path) -> Code:
    """Return the code of files, by their paths below a folder."""
    return {file.relative_to(root).as_posix(): content_of(file) for file in sorted(files)}


def code_of_folders(folders: Sequence[Path], root: Path) -> Code:
    """Return the code of all Python files in and below folders, by their paths below another."""
    return dict(_IN_FOLDERS.get((tuple(folders), root), lambda: _code_of_folders(folders, root)))


def _code_of_folders(folders: Sequence[Path], root: Path) -> tuple[Code, States]:
    states: dict[Path, State | None] = {folder: file_state(folder) for folder in folders}
    files: list[Path] = []
    for top, inner, names in (entry for folder in folders for entry in os.walk(folder)):
        inner[:] = [name for name in inner if name != "__pycache__"]
        states[Path(top)] = file_state(Path(top))  # its time changes with each file that comes or goes
        files += [Path(top, name) for name in names if name.endswith(".py")]
    states |= {file: file_state(file) for file in files}
    return code_of_files(files, root), states


def as_key_part(code: Mapping[str, str]) -> str:
    """Return code as a part of a key that can be read back: `path=digits …`."""
    return " ".join(f"{path}={digits}" for path, digits in sorted(code.items()))


_ENTRY = re.compile(r"(\S.*?)=([0-9a-f]+)(?=\s|$)")
"""A path, which may have blanks, and its digits."""

FILES_NAMED = 4
"""Most changed files that are named; the others are counted."""


def changed_files(before: str, after: str) -> str:
    """Return which files of `path=digits …` changed, came or went; an older text is a digest of all of them."""
    if "=" not in before or "=" not in after:
        return "not known by its files before" if "=" in after else "changed"
    old, new = (dict(_ENTRY.findall(code)) for code in (before, after))
    told = [
        f"{path} {'came' if path not in old else 'went' if path not in new else 'changed'}"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]
    more = [f"and {len(told) - FILES_NAMED} more"] if len(told) > FILES_NAMED else []
    return ", ".join([*told[:FILES_NAMED], *more])


def content_of(file: Path) -> str:
    """Return the first digits of the SHA-256 of what a Python file says, whatever its comments and docstrings."""
    return _parsed(file, file_state(file)).digits


def imported(file: Path, root: Path) -> tuple[str, ...]:
    """Return names of the modules of the tree that a file imports when it runs, those inside functions too."""
    return _resolved(_parsed(file, file_state(file)).imports, root)


class _Parsed(NamedTuple):
    """Hold what is known of a file: digits of its content, and what it imports, a module and a name in it or None."""

    digits: str
    imports: tuple[tuple[str, str | None], ...]


@lru_cache(maxsize=4096)
def _parsed(file: Path, state: State | None) -> _Parsed:
    """Parse a file, once for each of its states."""
    known = _known().get(str(file))
    if known is not None and state is not None and known[0] == [*state]:
        return _Parsed(known[1], tuple((module, name) for module, name in known[2]))
    found = _parsed_source(file.read_bytes())
    if state is not None:
        _known()[str(file)] = [[*state], found.digits, found.imports]
        _FURTHER.add(file)
    return found


_FURTHER: set[Path] = set()
"""Files that were parsed since `_keep` was called last."""


def _kept_in() -> Path:
    """Return the file of what was parsed before, beside what Python compiles: it is made anew where it is missing."""
    return harness_root() / "bench" / "__pycache__" / "code.json"


@lru_cache(maxsize=1)
def _known() -> dict[str, list[Any]]:
    """Return what was parsed before by this same code: path -> state, digits and imports."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        document = json_of(content_of_file(_kept_in()))
        if document["by"] == [*(file_state(Path(__file__)) or ())]:
            return {path: entry for path, entry in document["files"].items() if len(entry) == 3}
    return {}


def _keep() -> None:
    """Keep what was parsed for the next process, as far as the folder can be written."""
    if not _FURTHER or sys.dont_write_bytecode:
        return
    _FURTHER.clear()
    document = {"by": [*(file_state(Path(__file__)) or ())], "files": _known()}
    with contextlib.suppress(OSError):
        write_atomically(_kept_in(), json.dumps(document), to_disk=False)


@lru_cache(maxsize=4096)
def _parsed_source(source: bytes) -> _Parsed:
    """Parse what two trees have in common once; what is no Python is known by its bytes, and imports nothing."""
    try:
        statements = list(_statements(ast.parse(source)))
        said = "\n".join(_significant_lines(source, statements)).encode("utf-8", "surrogatepass")
    except (SyntaxError, ValueError, tokenize.TokenError):
        return _Parsed(_digits(source), ())
    return _Parsed(_digits(said), tuple(_imports(statements)))


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements, those within others too, in order; expressions hold none, and are not walked through."""
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        for node in getattr(tree, name, ()):
            if isinstance(node, ast.stmt):
                yield node
            yield from _statements(node)


def _significant_lines(source: bytes, statements: list[ast.stmt]) -> Iterator[str]:
    """Return the lines of a file without comments, docstrings and empty ones."""
    lines = io.TextIOWrapper(io.BytesIO(source), tokenize.detect_encoding(io.BytesIO(source).readline)[0]).readlines()
    original = list(lines)
    for node in statements:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # below attributes there are some, too
            for number in range(node.lineno, node.end_lineno or node.lineno):
                lines[number] = ""
            lines[node.lineno - 1] = lines[node.lineno - 1][: node.col_offset]
    for row, column in _comments(original, statements):
        lines[row - 1] = lines[row - 1][:column]
    return (line.rstrip() for line in lines if line.strip())


def _comments(lines: list[str], statements: list[ast.stmt]) -> Iterator[tuple[int, int]]:
    """Yield line, from 1, and column of each comment.

    Telling a comment from a sign in a text takes Python's tokens, which are slow to come by; so only those parts of a
    file are cut into tokens, from one statement without indentation to the next, that hold the sign at all.
    """
    starts, end = [1], 0
    for node in statements:
        if node.col_offset == 0:
            decorators = getattr(node, "decorator_list", ())
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            if first > end:
                starts.append(first)
            end = max(end, node.end_lineno or 0)
    for start, stop in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        part = lines[start - 1 : stop - 1]
        if any("#" in line for line in part):
            for token in tokenize.generate_tokens(iter(part).__next__):
                if token.type == tokenize.COMMENT:
                    yield start - 1 + token.start[0], token.start[1]


def _imports(statements: list[ast.stmt]) -> Iterator[tuple[str, str | None]]:
    typing_only = {id(inner) for node in statements if _is_for_types(node) for inner in _statements(node)}
    for node in statements:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Dots of a relative import stand before the module, as they are written; no file of this tree has any.
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@lru_cache(maxsize=4096)
def _resolved(imports: tuple[tuple[str, str | None], ...], root: Path) -> tuple[str, ...]:
    """Return the modules that imports name: a module of the tree where a name is one, else the one it is taken from."""
    names: dict[str, None] = {}
    for module, name in imports:
        inner = f"{module}.{name}"
        names[module if name is None or not _file_of(inner, root) else inner] = None
    return tuple(names)


def _file_of(module: str, root: Path) -> Path | None:
    stem = root.joinpath(*module.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
