"""`bench data info`: what a data set is and what of it is here."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.data._choice import add_choice, choice_of

HELP = "show a data set's source, terms, splits and classes, and how to get it"
ORDER = 2


def add_arguments(parser: Parser) -> None:
    add_choice(parser)


def execute(options: Namespace) -> int:
    """Print it; what is missing is said, and no failure."""
    from bench.data.info import info

    print(info(choice_of(options)))
    return 0
