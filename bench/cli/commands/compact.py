"""`bench compact`: a run of very many cases or samples as Parquet."""

from __future__ import annotations

from pathlib import Path

from bench.cli.arguments import Namespace, Parser, opened_run

HELP = "write a run as Parquet, for a report of very many cases"
GROUP, ORDER = "compare models", 8
RESULTS_AT_URL = True


def add_arguments(parser: Parser) -> None:
    parser.option("run", "RUN", "folder or name of a run")
    parser.option("folder", "DIR", "gets cases.parquet and samples.parquet")


def execute(options: Namespace) -> int:
    """Write the files, and say what to do with them."""
    from bench.report.compact.writing import compact

    (run, results), folder = opened_run(options), Path(options.folder)
    cases, samples = compact(run, results, folder)
    print(f"{folder}: {cases} cases, {samples} samples of run {run.suite}/{run.name}")
    print(
        f"its report, in bounded memory: bench report {folder}; every case: bench report {folder} --as csv --out FILE"
    )
    return 0
