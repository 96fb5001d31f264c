"""`bench doctor`: what is ready, what is missing, and the command that fixes it."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of

HELP = "show what is installed and ready, and how to fix the rest"
GROUP, ORDER = "environment", 1


def add_arguments(parser: Parser) -> None:
    parser.switch("--strict", "exit with 1 if the machine or an adapter lacks something")
    parser.switch("--data", "list every data set, with how to get it")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Print a line for each finding; with `--strict` 1 if something is missing."""
    from bench.run.doctor.checks import examine, is_fit
    from bench.run.doctor.lines import as_lines, without_datasets

    findings = examine(interpreters_of(options), Path(options.results))
    shown = findings if options.data else without_datasets(findings)
    print("\n".join(as_lines(shown)))
    sys.stdout.flush()
    return 1 if options.strict and not is_fit(findings) else 0
