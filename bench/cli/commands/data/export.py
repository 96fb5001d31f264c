"""`bench data export`: the data set in another format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import add_repeated
from bench.cli.commands.data._choice import add_choice, choice_of

HELP = "write a data set in another format"
ORDER = 6


def add_arguments(parser: ArgumentParser) -> None:
    add_choice(parser)
    parser.add_argument(
        "--as", dest="form", required=True, metavar="FORMAT", help="format, named after the data set that reads it"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new or empty folder")
    add_repeated(parser, "--rename", "OLD=NEW", "name a class of the data set differently in the export; repeatable")


def execute(options: Namespace) -> int:
    """Write it, and tell what was lost."""
    from rich.console import Console

    from bench.data.export import export, report
    from bench.data.opening import opened

    choice, out, console = choice_of(options), Path(options.out), Console(stderr=True)
    written = export(choice, opened(choice), options.form, out, rename=options.rename, console=console)
    print(report(written, choice.label))
    return 0
