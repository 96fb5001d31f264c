"""`bench data check`: what is wrong with a data set."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.arguments import Namespace, Parser, positive
from bench.cli.commands.data._choice import add_choice, add_passes, add_splits, cache_of, opened_splits

HELP = "read every image and mask, and list what is wrong"
ORDER = 3


def add_arguments(parser: Parser) -> None:
    add_choice(parser)
    add_splits(parser)
    add_passes(parser)
    parser.option("--show", "N", "files listed per finding; 0 = all (default: 10)", type=int, default=10)
    parser.switch("--strict", "also exit with 1 if there are only notes")
    parser.option("--out", "FILE", "write all findings to this file as JSON")


def execute(options: Namespace) -> int:
    """Read everything; 1 if anything is wrong."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from bench.data.check import check, report
    from bench.records.store.files import write_atomically
    from bench.run.planning.data_checks import remember

    choice, dataset, splits = opened_splits(options)
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
