"""`bench data check`: what is wrong with a data set."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import positive
from bench.cli.commands.data._choice import add_choice, add_passes, add_splits, cache_of, choice_of

HELP = "read every image and mask, and list what is wrong"
ORDER = 3


def add_arguments(parser: ArgumentParser) -> None:
    add_choice(parser)
    add_splits(parser)
    add_passes(parser)
    parser.add_argument(
        "--show", type=int, default=10, metavar="N", help="files listed per finding; 0 = all (default: 10)"
    )
    parser.add_argument("--strict", action="store_true", help="also exit with 1 if there are only notes")
    parser.add_argument("--out", metavar="FILE", help="write all findings to this file as JSON")


def execute(options: Namespace) -> int:
    """Read everything; 1 if anything is wrong."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from bench.data.check import check, report
    from bench.data.opening import opened, wanted_splits
    from bench.records.store.files import write_atomically
    from bench.run.planning.data_checks import remember

    choice = choice_of(options)
    dataset = opened(choice)
    splits = wanted_splits(dataset, choice, options.split)
    jobs = positive(options.jobs, "--jobs")
    checked = check(choice, dataset, splits, cache=cache_of(options), jobs=jobs, console=Console(stderr=True))
    for split in splits:
        if checked.counts.get(split):
            remember(dataset, split, wrong=checked.wrong_with(split), absent=checked.absent_from(split))
    if checked.remembered:
        total = sum(checked.counts.values())
        print(f"{checked.remembered} of {total} images are unchanged since they were last checked", file=sys.stderr)
    if options.out:
        write_atomically(Path(options.out), json.dumps(asdict(checked), indent=2, ensure_ascii=False) + "\n")
    print(report(checked, show=options.show))
    return 1 if checked.wrong or (options.strict and checked.findings) else 0
