"""`bench data export`: the data set in another format."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.data._choice import add_choice, choice_of

HELP = "write a data set in another format"
ORDER = 6


def add_arguments(parser: Parser) -> None:
    add_choice(parser)
    parser.option("--as", "FORMAT", "format, named after the data set that reads it", dest="form", required=True)
    parser.option("--out", "DIR", "new or empty folder", required=True)
    parser.repeated("--rename", "OLD=NEW", "name a class of the data set differently in the export; repeatable")


def execute(options: Namespace) -> int:
    """Write it, and tell what was lost."""
    from rich.console import Console

    from bench.data.export import export, report
    from bench.data.opening import opened

    choice, out, console = choice_of(options), Path(options.out), Console(stderr=True)
    written = export(choice, opened(choice), options.form, out, rename=options.rename, console=console)
    print(report(written, choice.label))
    return 0
