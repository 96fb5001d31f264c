"""`bench import`: a run from an archive of `bench export`, verified before anything of it is used."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser

HELP = "import a run from an archive, and verify it"
GROUP, ORDER = "compare models", 10


def add_arguments(parser: Parser) -> None:
    parser.option("file", "FILE", "an archive that bench export wrote, a file or a URL")


def execute(options: Namespace) -> int:
    """Verify the archive, and put its run below the results."""
    from bench.run.archive.tar import import_run
    from bench.run.remote.copies import archive_at

    with archive_at(options.file) as file:
        run, is_new = import_run(file, Path(options.results))
    print(f"{run.path}" if is_new else f"{run.path} exists already, with the same files")
    print(f"its report: bench report {run.path}; every number again: bench audit {run.path}")
    return 0
