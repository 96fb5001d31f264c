"""Holds the parts that the commands which write a single module share."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.commands.new._files import checked_name, files_of, write_files

PACKAGES = {"metric": "bench.metrics", "dataset": "bench.datasets", "logger": "bench.report.loggers"}


def add_name_and_folder(parser: ArgumentParser, what: str) -> None:
    """Add the arguments for its name and its folder."""
    parser.add_argument("name", metavar="NAME", help=f"name of the {what}, for example mine")
    parser.add_argument("--out", required=True, metavar="DIR", help=f"folder of your {what}s; NAME.py is made in it")


def write_module(options: Namespace, kind: str, use: str) -> int:
    """Write a module and its test, and say what to type next.

    Args:
        options: Options with `name` and `out`.
        kind: Kind of module, of `PACKAGES`.
        use: Line of a suite that uses it, with NAME for its name.
    """
    from bench.records.names import OUTSIDE, module_names

    package = PACKAGES[kind]
    name = checked_name(options.name, module_names(package), f"a {kind}")
    out, flag = Path(options.out), OUTSIDE[package].flag
    for path in write_files(out, files_of(kind, name)):
        print(path)
    print(
        f"next: pytest {out / f'test_{name}.py'}\n      bench list {flag.removeprefix('--')} {flag} {out}\n"
        f"      in a suite: {use.replace('NAME', name)}, and bench run SUITE.yaml {flag} {out}",
        file=sys.stderr,
    )
    return 0
