"""`bench env remove`: remove an environment; its lock stays."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser

HELP = "remove an environment; its lock stays"
ORDER = 4


def add_arguments(parser: Parser) -> None:
    parser.option("adapter", "NAME", "name of an environment (see: bench env list)")
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Remove it; its folder is the answer."""
    from bench.errors import BenchError, did_you_mean
    from bench.run.environments.create import remove
    from bench.run.environments.environment import Environment, all_environments, environments_folder

    folder = environments_folder(options.envs)
    names = [environment.name for environment in all_environments(folder)]
    if options.adapter not in names:
        there = f" There are: {', '.join(names)}." if names else " There is none."
        raise BenchError(
            f"no environment {options.adapter!r} in {folder}.{did_you_mean(options.adapter, names)}{there}"
        )
    environment = Environment(folder / options.adapter)
    remove(environment)
    print(environment.path)
    return 0
