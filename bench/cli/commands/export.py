"""`bench export`: one run as one file that can be checked and read in elsewhere."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser, opened_run, print_progress

HELP = "write a run as one archive that can be verified"
GROUP, ORDER = "compare models", 9
RESULTS_AT_URL = True


def add_arguments(parser: Parser) -> None:
    parser.option("run", "RUN", "folder or name of a run")
    parser.option("file", "FILE", "new file or URL, .tar (the same bytes each time) or .tar.gz")


def execute(options: Namespace) -> int:
    """Write the archive, and say what it cannot hold."""
    from rich.filesize import decimal

    from bench.run.archive.tar import weights_elsewhere
    from bench.run.remote.copies import export_to
    from bench.run.remote.stores import is_url

    run, results = opened_run(options)
    contents, size = export_to(run, options.file)
    print(f"{options.file}: {len(contents.files)} files of run {run.suite}/{run.name}, {decimal(size)}")
    named = options.file if is_url(options.file) else Path(options.file).name
    print(f"import it elsewhere with: bench import {named}")
    elsewhere = weights_elsewhere(run, results)
    if elsewhere:
        print_progress(
            f"note: {len(elsewhere)} weights that the run used lie outside of it and are not in the archive, "
            f"for example {elsewhere[0]}"
        )
    return 0
