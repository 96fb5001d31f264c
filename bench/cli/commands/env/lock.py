"""`bench env lock`: lock the installed packages, with hashes."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.env._choice import add_builds, environment_of, sources_of

HELP = "lock the installed packages, with hashes"
ORDER = 3


def add_arguments(parser: Parser) -> None:
    parser.add_argument("adapter", metavar="ADAPTER")
    add_builds(parser)
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Write the lock; its path is the answer."""
    from bench.run.environments.create import lock
    from bench.run.environments.uv import telling

    with telling() as tell:
        print(lock(environment_of(options), sources_of(options), tell))
    return 0
