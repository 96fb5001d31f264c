"""`bench data stats`: what is in a data set, as a table and a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.arguments import positive
from bench.cli.commands.data._choice import add_choice, add_passes, add_splits, cache_of, choice_of, picture_of

HELP = "count classes, objects and sizes, and draw them"
ORDER = 4


def add_arguments(parser: ArgumentParser) -> None:
    add_choice(parser)
    add_splits(parser)
    add_passes(parser)
    parser.add_argument("--out", metavar="FILE.png", help="file to write (default: RESULTS/data/NAME-stats.png)")


def execute(options: Namespace) -> int:
    """Count, print and draw."""
    from rich.console import Console

    from bench.data.opening import opened, wanted_splits
    from bench.data.stats import measure, plot, table

    choice = choice_of(options)
    dataset = opened(choice)
    splits = wanted_splits(dataset, choice, options.split)
    jobs = positive(options.jobs, "--jobs")
    counted = measure(choice, dataset, splits, cache=cache_of(options), jobs=jobs, console=Console(stderr=True))
    print(table(counted))
    print()
    print(plot(counted, picture_of(options, choice, "stats")))
    return 0
