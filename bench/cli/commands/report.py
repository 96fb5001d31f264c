"""`bench report`: one run in one form."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import add_run_choice, share
from bench.cli.deprecated import Renamed

HELP = "print the report of a run"
GROUP, ORDER = "compare models", 3


def add_arguments(parser: ArgumentParser) -> None:
    """Which run, in which form, and where to."""
    add_run_choice(parser)
    parser.add_argument("--run", dest="old_run", action=Renamed, const="bench report RUN", help=argparse.SUPPRESS)
    parser.add_argument("--suite", help="newest run of this suite")
    parser.add_argument("--as", dest="form", default="markdown", metavar="FORM", help="see: bench list reports")
    parser.add_argument(
        "--show-from",
        type=float,
        metavar="SCORE",
        help="contact sheets show objects with at least this score (default: the best one of each model)",
    )
    parser.add_argument("--out", metavar="PATH", help="write there; a folder gets the whole report with its pictures")


def execute(options: Namespace) -> int:
    """Print or write the report."""
    from bench.errors import BenchError, did_you_mean
    from bench.records.store.files import write_atomically
    from bench.records.store.runs import open_run, read_run
    from bench.records.store.selection import with_cases
    from bench.report import render, report_names, write_report
    from bench.report.summary.summarise import summarise

    run = open_run(Path(options.results), options.run, options.suite)
    if options.form not in report_names():
        raise BenchError(
            f"no report form {options.form!r}.{did_you_mean(options.form, report_names())} "
            f"Forms: {', '.join(report_names())}"
        )
    view = with_cases(read_run(run, Path(options.results)), options.case)
    if options.out and (Path(options.out).is_dir() or options.out.endswith("/")):
        for path in write_report(view, Path(options.out), share(options.show_from, "--show-from")):
            print(path)
        return 0
    text = render(options.form, summarise(view))
    if options.out:
        write_atomically(Path(options.out), text)
        print(options.out)
    else:
        print(text.rstrip("\n"))
    return 0
