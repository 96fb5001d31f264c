"""`bench schema`: the JSON Schema of a suite."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser

HELP = "print the JSON Schema of a suite, for editors"
GROUP, ORDER = "environment", 4


def add_arguments(_parser: Parser) -> None:
    """Nothing more."""


def execute(_options: Namespace) -> int:
    """Print what `suites/suite.schema.json` holds, too."""
    from bench.suite.schema import suite_schema

    print(suite_schema(), end="")
    return 0
