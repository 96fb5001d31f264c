"""Holds what the actions of `bench new` share: files made of those in `files/`, written whole or not at all."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cli.arguments import Namespace, Parser

NAME = re.compile(r"[a-z][a-z0-9_]*")
FOLDER = Path(__file__).parent / "files"
"""A folder for each kind; in their texts and names NAME stands for the name, and `.txt` keeps them from being code."""


def files_of(kind: str, name: str) -> dict[str, str]:
    """Return the files of a new adapter, metric, data set or logger: path -> text."""
    found = sorted(path for path in (FOLDER / kind).rglob("*.txt"))
    texts = {path.relative_to(FOLDER / kind).as_posix(): path.read_text(encoding="utf-8") for path in found}
    return {path.removesuffix(".txt").replace("NAME", name): text.replace("NAME", name) for path, text in texts.items()}


def checked_name(name: str, taken: Collection[str], what: str) -> str:
    """Return the name, if a module can have it and nothing has it yet; raises `BenchError`."""
    from bench.errors import BenchError

    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise BenchError(f"{name!r} cannot name a module: use small letters, digits and _, beginning with a letter")
    if name in taken:
        raise BenchError(f"there is {what} named {name!r} already; choose another name")
    return name


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write files, path below the folder -> text; raises `BenchError` if one is there, and then writes none."""
    from bench.errors import BenchError

    there = [folder / name for name in files if (folder / name).exists()]
    if there:
        raise BenchError(f"{there[0]} is there already, and nothing is overwritten; give another --out, or remove it")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


@dataclass(frozen=True)
class NewModule:
    """A command that writes a module and its test.

    Attributes:
        kind: Folder of its texts, and what it is called in messages.
        package: Package that finds such modules.
        what: Name of such a module in the help.
        use: Line of a suite that uses it, with NAME for its name.
    """

    kind: str
    package: str
    what: str
    use: str

    def add_arguments(self, parser: Parser) -> None:
        """Add the arguments for its name and its folder."""
        parser.option("name", "NAME", f"name of the {self.what}, for example mine")
        parser.option("--out", "DIR", f"folder of your {self.what}s; NAME.py is made in it", required=True)

    def execute(self, options: Namespace) -> int:
        """Write the files, and say what to type next."""
        from bench.records.names import OUTSIDE, module_names

        name = checked_name(options.name, module_names(self.package), f"a {self.kind}")
        out, flag = Path(options.out), OUTSIDE[self.package].flag
        for path in write_files(out, files_of(self.kind, name)):
            print(path)
        print(
            f"next: pytest {out / f'test_{name}.py'}\n      bench list {flag.removeprefix('--')} {flag} {out}\n"
            f"      in a suite: {self.use.replace('NAME', name)}, and bench run SUITE.yaml {flag} {out}",
            file=sys.stderr,
        )
        return 0
