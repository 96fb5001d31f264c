"""Arguments that several commands take, and what they stand for; the same words mean the same everywhere."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bench.cli.deprecated import Renamed

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records.store.layout import RunFolder
    from bench.records.store.views import RunView
    from bench.run.environments.interpreters import Interpreters
    from bench.run.executor import Executor

JOB_KINDS = ("train", "export", "predict", "time", "profile", "throughput")
"""These are those of `bench.records`, which takes too long to import for `bench --help`."""

MODULES_OUTSIDE = ("metrics", "datasets", "loggers")
"""Kinds of `bench.records.names.OUTSIDE`, by their flags."""


def add_repeated(parser: ArgumentParser | argparse._ArgumentGroup, flag: str, metavar: str, text: str) -> None:
    """Add a flag that may be given several times; its value is a list, which is empty without it."""
    parser.add_argument(flag, action="append", default=[], metavar=metavar, help=text)


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


def add_shared(parser: ArgumentParser, *names: str) -> None:
    """Add arguments of `SHARED`, in this order."""
    for name in names:
        parser.add_argument(name, **SHARED[name])


def common() -> ArgumentParser:
    """Return a parent parser with what every command takes."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument(
        "--results",
        default="results",
        metavar="DIR",
        help="folder of all results, or s3://, gs:// or file:// URL (default: results)",
    )
    parser.add_argument(
        "--adapters", action="append", metavar="DIR", help="folder with further adapters, one folder each; repeatable"
    )
    for kind in MODULES_OUTSIDE:
        text = f"folder with further {kind}, one file each; repeatable"
        parser.add_argument(f"--{kind}", action="append", metavar="DIR", help=text)
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


def add_selection(parser: ArgumentParser) -> None:
    """Add the flags that say which cases and which of their jobs."""
    add_shared(parser, "--case")
    parser.add_argument("--only", dest="case", action=Renamed, const="--case PATTERN", help=argparse.SUPPRESS)
    parser.add_argument("--kind", action="append", choices=JOB_KINDS, help="only jobs of this kind; repeatable")


def add_executor(parser: ArgumentParser) -> None:
    """Add the flags that say where jobs are carried out; `executor_of_flags` reads them."""
    parser.add_argument(
        "--executor",
        choices=("local", "ray", "slurm"),
        default="local",
        help="where jobs are carried out: on this machine, a Ray cluster, a SLURM queue (default: local)",
    )
    parser.add_argument(
        "--devices",
        metavar="LIST",
        help="parts of this machine that work at the same time: GPUs (0,1,2,3) or sets of cores (cpu:0-3,cpu:4-7)",
    )
    parser.add_argument(
        "--share-node",
        action="store_true",
        help="jobs that measure have only their device to themselves, not the whole node; flagged in the report",
    )
    parser.add_argument(
        "--one-at-a-time",
        action="store_true",
        help="predict one case after the other, too, instead of two at a time beside what the next framework imports",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="head of the Ray cluster (default: RAY_ADDRESS, else this machine alone)"
    )
    add_repeated(
        parser,
        "--slurm",
        "NAME=VALUE",
        "parameter of every SLURM job, such as partition=gpu or constraint=a100; repeatable",
    )


def executor_of_flags(options: Namespace, tell: Callable[[str], None]) -> Executor:
    """Return where jobs are carried out, as the flags say; `tell` gets a line while a cluster is waited for."""
    from bench.run.executors.choose import executor_of
    from bench.run.remote.working import results_folder

    return executor_of(
        options.executor,
        fresh=options.fresh_interpreters,
        devices=options.devices,
        share_node=options.share_node,
        beside=not options.one_at_a_time,
        address=options.address,
        slurm=options.slurm,
        results=results_folder(options.results),
        tell=tell,
    )


def add_interpreters(parser: ArgumentParser) -> None:
    """Add the flags that say which Python runs which adapter; `interpreters_of` reads it."""
    add_repeated(
        parser,
        "--python",
        "ADAPTER=PATH",
        "interpreter that runs an adapter; repeatable (default: the one that runs bench)",
    )
    add_repeated(
        parser, "--env", "ADAPTER", "run an adapter in the environment that bench env create made for it; repeatable"
    )
    add_shared(parser, "--envs")


def add_sources(parser: ArgumentParser) -> None:
    """Add the flags that say where packages come from."""
    add_repeated(parser, "--find-links", "DIR", "folder with package files, such as wheels; repeatable")
    parser.add_argument("--no-index", action="store_true", help="use no package index")


def interpreters_of(options: Namespace) -> Interpreters:
    """Return which Python runs which adapter, as `add_interpreters` was answered."""
    from bench.run.environments.environment import choose_interpreters

    return choose_interpreters(options.python, options.env, options.envs)


def share(value: float | None, flag: str) -> float | None:
    """Return the value of a flag that is a score or a share, or None where it was not given.

    Raises:
        BenchError: If it is below 0 or above 1.
    """
    from bench.errors import BenchError

    if value is not None and not 0 <= value <= 1:
        raise BenchError(f"{flag} {value:g}: expected a number from 0 to 1")
    return value


def positive(value: int | None, flag: str) -> int | None:
    """Return the value of a flag that counts from 1 upwards, or None where it was not given.

    Raises:
        BenchError: If it is less.
    """
    from bench.errors import BenchError

    if value is not None and value < 1:
        raise BenchError(f"{flag} {value}: expected a whole number from 1 upwards")
    return value


def search_adapters_of(run: RunView, adapters: Iterable[str]) -> None:
    """Search the folders of adapters that a run was started with, too, and say so where one is of use."""
    from bench.records.store.invocation import find_adapters

    for folder in find_adapters(run, adapters):
        print_progress(f"adapters: also searching {folder}, which the run was started with")
