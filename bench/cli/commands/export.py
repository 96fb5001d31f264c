"""`bench export`: one run as one file that can be checked and read in elsewhere."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "write a run as one archive that can be verified"
GROUP, ORDER = "compare models", 9


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that say which run, and which file."""
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument("file", metavar="FILE", help="new file, .tar (the same bytes each time) or .tar.gz")


def execute(options: Namespace) -> int:
    """Write the archive, and say what it cannot hold."""
    from rich.filesize import decimal

    from bench.records.store.runs import open_run
    from bench.run.archive.writing import export_run, weights_elsewhere

    results, file = Path(options.results), Path(options.file)
    run = open_run(results, options.run)
    contents = export_run(run, file)
    print(f"{file}: {len(contents.files)} files of run {run.suite}/{run.name}, {decimal(file.stat().st_size)}")
    print(f"read it in elsewhere with: bench import {file.name}")
    elsewhere = weights_elsewhere(run, results)
    if elsewhere:
        print(
            f"note: {len(elsewhere)} weights that the run used lie outside of it and are not in the archive, "
            f"for example {elsewhere[0]}",
            file=sys.stderr,
        )
    return 0
