"""`bench env sbom`: a bill of materials of an adapter's environment, or of the running interpreter."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.arguments import add_shared

HELP = "print the packages with versions and licences (CycloneDX)"
ORDER = 5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", nargs="?", metavar="ADAPTER", help="adapter (default: the interpreter of bench)")
    add_shared(parser, "--envs")


def execute(options: Namespace) -> int:
    """Print the bill of materials as JSON."""
    from bench.run.environments.environment import environments_folder, known_adapter, usable
    from bench.run.environments.interpreters import inventory
    from bench.run.environments.sbom import bill_of_materials

    if options.adapter is None:
        python, used_by = Path(sys.executable), ["bench"]
    else:
        adapter = known_adapter(options.adapter)
        python, used_by = usable(environments_folder(options.envs), adapter).python, [adapter]
    print(json.dumps(bill_of_materials([(inventory(python), used_by)]), indent=2))
    return 0
