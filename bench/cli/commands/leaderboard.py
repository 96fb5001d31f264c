"""`bench leaderboard`: the rows of all runs, a table for each data set, machine and protocol."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "rank the models of all runs, one table per data set, machine and protocol"
GROUP, ORDER = "compare models", 6

FORMS = ("markdown", "html", "json")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", nargs="?", metavar="DIR", help="folder of results (default: that of --results)")
    parser.add_argument(
        "--as", "--form", dest="form", default="markdown", choices=FORMS, help="form (default: markdown)"
    )
    parser.option("--out", "FILE", "write there")


def execute(options: Namespace) -> int:
    """Print or write the tables."""
    from bench.records.store.files import write_atomically
    from bench.report.html.page import page_of_tables
    from bench.report.leaderboard import as_markdown, frames, leaderboard

    board = leaderboard(Path(options.folder or options.results))
    if options.form == "json":
        text = board.to_json()
    elif options.form == "markdown":
        text = as_markdown(board)
    else:
        text = page_of_tables("Leaderboard", frames(board), [f"Left out: {reason}" for reason in board.left_out])
    if options.out:
        write_atomically(Path(options.out), text)
        print(options.out)
    else:
        print(text.rstrip("\n"))
    return 0
