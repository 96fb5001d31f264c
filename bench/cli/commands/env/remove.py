"""`bench env remove`: remove an environment; its lock stays."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.arguments import add_shared

HELP = "remove an environment; its lock stays"
ORDER = 4


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", metavar="NAME", help="name of an environment (see: bench env list)")
    add_shared(parser, "--envs")


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
