"""`bench list`: names a suite can use, one line each."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser

HELP = "list the models, data sets, metrics and so on that a suite can name"
GROUP, ORDER = "environment", 3

LISTINGS = ("models", "datasets", "metrics", "adapters", "reports", "loggers", "corruptions")
WIDTHS: dict[str | tuple[str, str], int] = {
    "description": 90,
    "definition": 90,
    ("datasets", "label types"): 18,
    ("datasets", "terms"): 40,
    ("datasets", "description"): 50,
}
"""Widest column of a list, in characters, by header or by list and header."""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("what", choices=LISTINGS)
    parser.add_argument(
        "--as", dest="form", default="text", choices=("text", "markdown"), help="form of the table (default: text)"
    )


def execute(options: Namespace) -> int:
    """Print a table with the names first."""
    from tabulate import tabulate

    headers, rows = _listing(options.what)
    if options.form == "markdown":
        cells = [[f"`{row[0]}`", *(cell.replace("|", "\\|") for cell in row[1:])] for row in rows]
        print(tabulate(cells, headers=headers, tablefmt="github"))
    else:
        width = [WIDTHS.get((options.what, header), WIDTHS.get(header)) for header in headers]
        print(tabulate(rows, headers=headers, tablefmt="simple", maxcolwidths=width))
    return 0


def _listing(what: str) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of what a suite can name, names first."""
    if what == "models":
        from bench.suite.model_configs import model_config_files, read_model_config

        configs = [(name, read_model_config(name)) for name in model_config_files()]
        return ["model", "task", "description"], [[name, one.task or "any", one.description] for name, one in configs]
    if what == "metrics":
        from bench.metric import load_metric, metric_names

        metrics = [load_metric(name) for name in metric_names()]
        return ["metric", "label", "tasks", "definition"], [
            [m.name, m.label, ", ".join(m.tasks), m.definition] for m in metrics
        ]
    if what == "datasets":
        from bench.data.info import DATASET_HEADERS, dataset_rows

        return list(DATASET_HEADERS), dataset_rows()
    if what == "adapters":
        from bench.adapter import adapter_folders

        return ["adapter", "folder"], [[name, str(folder)] for name, folder in adapter_folders().items()]
    if what == "corruptions":
        from bench.data.corruptions.names import FAMILIES, what_it_does

        return ["corruption", "family", "what it does"], [
            [name, family, what_it_does(name)] for family, names in FAMILIES.items() for name in names
        ]
    if what == "loggers":
        from bench.logger import logger_names

        return ["logger", "description"], [[name, _first_line(name)] for name in logger_names()]
    from bench.report import report_names
    from bench.report.frames import TABLES

    return ["report", "what it is"], [
        *([name, "the report in this form"] for name in report_names()),
        *([name, "a table of raw facts, as CSV or Parquet"] for name in TABLES),
    ]


def _first_line(logger: str) -> str:
    """Return the first line of the module of a logger, ours or from outside."""
    from bench.records.names import named_module

    return (named_module("bench.report.loggers", logger, "logger", "loggers").__doc__ or "–").strip().splitlines()[0]
