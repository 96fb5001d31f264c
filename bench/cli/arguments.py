"""Arguments that several commands take, and what they stand for; the same words mean the same everywhere."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records.store.layout import RunFolder
    from bench.records.store.views import RunView
    from bench.run.environments.interpreters import Interpreters
    from bench.run.remote.working import RemoteResults

Namespace: TypeAlias = argparse.Namespace
"""A command line that was read: its arguments by their names."""

MODULES_OUTSIDE = ("metrics", "datasets", "loggers")
"""Kinds of `bench.records.names.OUTSIDE`, by their flags."""


SHARED: Mapping[str, Mapping[str, Any]] = {
    "suite": {"metavar": "SUITE.yaml"},
    "run": {"nargs": "?", "metavar": "RUN", "help": "folder or name of a run (default: the newest)"},
    "--suite": {"help": "use the newest run of this suite"},
    "--case": {"metavar": "PATTERN", "help": "only cases with this id or model label; * and ? allowed"},
    "--fresh-interpreters": {
        "action": "store_true",
        "help": "start a new interpreter for each job, instead of forking a process that has imported the framework",
    },
    "--rehash": {"action": "store_true", "help": "read every file of the data sets, even if it looks unchanged"},
    "--accept-code": {
        "metavar": "REV",
        "help": "treat the code as equal to that of this commit, so that its finished jobs count as done; recorded",
    },
    "--envs": {
        "metavar": "DIR",
        "help": "folder of environments (default: .venvs beside the adapters, or your data folder)",
    },
}
"""Arguments that several commands take."""


class Parser(ArgumentParser):
    """A parser of arguments that writes those of the usual kinds in a line each."""

    def option(self, name: str, metavar: str, text: str, **further: Any) -> None:
        """Add an argument with a value; `further` goes to `add_argument`."""
        self.add_argument(name, metavar=metavar, help=text, **further)

    def repeated(self, name: str, metavar: str, text: str) -> None:
        """Add a flag that may be given several times; its value is a list, which is empty without it."""
        self.option(name, metavar, text, action="append", default=[])

    def switch(self, name: str, text: str) -> None:
        """Add a flag without a value."""
        self.add_argument(name, action="store_true", help=text)

    def shared(self, *names: str) -> None:
        """Add arguments of `SHARED`, in this order."""
        for name in names:
            self.add_argument(name, **SHARED[name])


def common() -> Parser:
    """Return a parent parser with what every command takes."""
    parser = Parser(add_help=False)
    results = "folder of all results, or s3://, gs:// or file:// URL (default: results)"
    parser.option("--results", "DIR", results, default="results")
    adapters = "folder with further adapters, one folder each; repeatable"
    parser.option("--adapters", "DIR", adapters, action="append")
    for kind in MODULES_OUTSIDE:
        text = f"folder with further {kind}, one file each; repeatable"
        parser.option(f"--{kind}", "DIR", text, action="append")
    return parser


def print_progress(line: str) -> None:
    """Say what goes on, on standard error; standard output is for what was asked for."""
    print(line, file=sys.stderr)


def opened_run(options: Namespace) -> tuple[RunFolder, Path]:
    """Return the run that a command reads, and the folder of all results; fetched first where they are at a URL."""
    from bench.records.store.runs import open_run
    from bench.run.remote.working import local_results

    suite = getattr(options, "suite", None)
    results = local_results(options.results, options.run, suite, print_progress)
    return open_run(results, options.run, suite), results


def remote_results(options: Namespace, tell: Callable[[str], None]) -> RemoteResults | None:
    """Return the results behind a URL, which `tell` gets lines about; None where `--results` is a folder."""
    from bench.run.remote.stores import is_url
    from bench.run.remote.working import RemoteResults

    return RemoteResults(options.results, tell) if is_url(options.results) else None


def selected_cases(options: Namespace) -> RunView:
    """Return the run that a command reads, with the cases that `--case` chooses."""
    from bench.records.store.runs import read_run
    from bench.records.store.selection import with_cases

    return with_cases(read_run(*opened_run(options)), options.case)


def add_interpreters(parser: Parser) -> None:
    """Add the flags that say which Python runs which adapter; `interpreters_of` reads it."""
    python = "interpreter that runs an adapter; repeatable (default: the one that runs bench)"
    parser.repeated("--python", "ADAPTER=PATH", python)
    environment = "run an adapter in the environment that bench env create made for it; repeatable"
    parser.repeated("--env", "ADAPTER", environment)
    parser.shared("--envs")


def add_sources(parser: Parser) -> None:
    """Add the flags that say where packages come from."""
    parser.repeated("--find-links", "DIR", "folder with package files, such as wheels; repeatable")
    parser.switch("--no-index", "use no package index")


def interpreters_of(options: Namespace) -> Interpreters:
    """Return which Python runs which adapter, as `add_interpreters` was answered."""
    from bench.run.environments.environment import choose_interpreters

    return choose_interpreters(options.python, options.env, options.envs)


def share(value: float | None, flag: str) -> float | None:
    """Return the value of a flag that is a score or a share, or None; raises `BenchError` outside 0 to 1."""
    from bench.errors import BenchError

    if value is not None and not 0 <= value <= 1:
        raise BenchError(f"{flag} {value:g}: expected a number from 0 to 1")
    return value


def positive(value: int | None, flag: str) -> int | None:
    """Return the value of a flag that counts from 1 upwards, or None; raises `BenchError` if it is less."""
    from bench.errors import BenchError

    if value is not None and value < 1:
        raise BenchError(f"{flag} {value}: expected a whole number from 1 upwards")
    return value


def search_adapters_of(run: RunView, adapters: Iterable[str]) -> None:
    """Search the folders of adapters that a run was started with, too, and say so where one is of use."""
    from bench.records.store.invocation import find_adapters

    for folder in find_adapters(run, adapters):
        print_progress(f"adapters: also searching {folder}, which the run was started with")
