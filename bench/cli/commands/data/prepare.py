"""`bench data prepare`: fetch and unpack a data set."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "download and unpack a public data set"
ORDER = 7


def add_arguments(parser: Parser) -> None:
    parser.option("name", "NAME", "name of a data set (see: bench list datasets)")
    parser.option("--out", "DIR", "new or empty folder, or one of an interrupted call", required=True)
    parser.repeated("--part", "PART", "part to fetch; repeatable (see: bench data info NAME)")
    parser.switch("--keep-archives", "keep the downloaded archives after they are unpacked")


def execute(options: Namespace) -> int:
    """Fetch and unpack it; 1 if it has not as many images as published."""
    from rich.console import Console

    from bench.data.prepare.download import RetryLimits
    from bench.data.prepare.prepare import carry_out, counted, introduction, planned, report

    plan = planned(options.name, Path(options.out), options.part)
    print(f"{introduction(plan)}\n", flush=True)
    plan = carry_out(plan, keep_archives=options.keep_archives, console=Console(stderr=True), patience=RetryLimits())
    results = counted(plan)
    print(report(plan, results))
    return 1 if any(result.wrong for result in results) else 0
