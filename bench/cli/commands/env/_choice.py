"""Holds what the actions of `bench env` share: which environment, and where its packages come from."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.arguments import add_sources

if TYPE_CHECKING:
    from bench.run.environments.environment import Environment
    from bench.run.environments.uv import Sources


def add_builds(parser: ArgumentParser) -> None:
    """Add the flags that say where packages come from, and which build of torch."""
    add_sources(parser)
    parser.add_argument(
        "--torch-backend", metavar="NAME", help="build of torch: cpu, cu130, auto, … (default: that of the index)"
    )


def environment_of(options: Namespace) -> Environment:
    """Return the environment of an adapter that exists; the environment may not, yet."""
    from bench.run.environments.environment import Environment, environments_folder, known_adapter

    return Environment(environments_folder(options.envs) / known_adapter(options.adapter))


def sources_of(options: Namespace) -> Sources:
    """Return where packages come from, as `add_builds` was answered."""
    from bench.run.environments.uv import Sources

    return Sources(tuple(options.find_links), options.no_index, options.torch_backend)
