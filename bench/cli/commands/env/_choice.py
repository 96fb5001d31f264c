"""Holds what the actions of `bench env` share: which environment, and where its packages come from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser, add_sources

if TYPE_CHECKING:
    from bench.run.environments.environment import Environment
    from bench.run.environments.uv import Sources


def add_builds(parser: Parser) -> None:
    """Add the flags that say where packages come from, and which build of torch."""
    add_sources(parser)
    parser.option("--torch-backend", "NAME", "build of torch: cpu, cu130, auto, … (default: that of the index)")


def environment_of(options: Namespace) -> Environment:
    """Return the environment of an adapter that exists; the environment may not, yet."""
    from bench.run.environments.environment import Environment, environments_folder, known_adapter

    return Environment(environments_folder(options.envs) / known_adapter(options.adapter))


def sources_of(options: Namespace) -> Sources:
    """Return where packages come from, as `add_builds` was answered."""
    from bench.run.environments.uv import Sources

    return Sources(tuple(options.find_links), options.no_index, options.torch_backend)


def python_of(options: Namespace) -> tuple[Path, str]:
    """Return the interpreter of an adapter's environment, or the one that runs bench, and who uses it."""
    from bench.run.environments.environment import environments_folder, known_adapter, usable

    if options.adapter is None:
        return Path(sys.executable), "bench"
    adapter = known_adapter(options.adapter)
    return usable(environments_folder(options.envs), adapter).python, adapter
