"""`bench data stats`: what is in a data set, as a table and a picture."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser, positive
from bench.cli.commands.data._choice import add_choice, add_passes, add_splits, cache_of, opened_splits, picture_of

HELP = "count classes, objects and sizes, and draw them"
ORDER = 4


def add_arguments(parser: Parser) -> None:
    add_choice(parser)
    add_splits(parser)
    add_passes(parser)
    parser.option("--out", "FILE.png", "file to write (default: RESULTS/data/NAME-stats.png)")


def execute(options: Namespace) -> int:
    """Count, print and draw."""
    from rich.console import Console

    from bench.data.stats import measure, plot, table

    choice, dataset, splits = opened_splits(options)
    jobs = positive(options.jobs, "--jobs")
    counted = measure(choice, dataset, splits, cache=cache_of(options), jobs=jobs, console=Console(stderr=True))
    print(table(counted))
    print()
    print(plot(counted, picture_of(options, choice, "stats")))
    return 0
