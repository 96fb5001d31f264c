"""`bench env sbom`: a bill of materials of an adapter's environment, or of the running interpreter."""

from __future__ import annotations

import json

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.env._choice import python_of

HELP = "print the packages with versions and licences (CycloneDX)"
ORDER = 5


def add_arguments(parser: Parser) -> None:
    parser.add_argument("adapter", nargs="?", metavar="ADAPTER", help="adapter (default: the interpreter of bench)")
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Print the bill of materials as JSON."""
    from bench.run.environments.interpreters import inventory
    from bench.run.environments.sbom import bill_of_materials

    python, user = python_of(options)
    print(json.dumps(bill_of_materials([(inventory(python), [user])]), indent=2))
    return 0
