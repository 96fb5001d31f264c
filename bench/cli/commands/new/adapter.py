"""`bench new adapter`: a network of your own, as an adapter that works as it is written."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.new._files import checked_name, files_of, write_files

HELP = "write an adapter for a network of your own, its model config, a suite and a test"
ORDER = 1


def add_arguments(parser: Parser) -> None:
    parser.option("name", "NAME", "name of the adapter, for example mine")
    parser.option("--out", "DIR", "folder of your adapters; NAME is made in it", required=True)


def execute(options: Namespace) -> int:
    """Write the files, and say what to type next."""
    from bench.adapter import adapter_folders

    name = checked_name(options.name, adapter_folders(), "an adapter")
    out = Path(options.out)
    for path in write_files(out / name, files_of("adapter", name)):
        print(path)
    print(
        f"next: pytest {out / name}\n      bench list models --adapters {out}\n"
        f"      bench run {out / name / 'suite.yaml'} --adapters {out}",
        file=sys.stderr,
    )
    return 0
