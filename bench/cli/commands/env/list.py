"""`bench env list`: every environment, and whether it can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser

if TYPE_CHECKING:
    from bench.run.environments.environment import Environment

HELP = "list the environments and whether they can be used"
ORDER = 2


def add_arguments(parser: Parser) -> None:
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Print a row for each."""
    from tabulate import tabulate

    from bench.run.environments.environment import all_environments, environments_folder

    folder = environments_folder(options.envs)
    rows = [_row(environment) for environment in all_environments(folder)]
    if rows:
        print(tabulate(rows, headers=["environment", "state", "Python", "packages", "MiB", "lock", "why"]))
    else:
        print(f"no environment in {folder}; make one with: bench env create ADAPTER")
    return 0


def _row(environment: Environment) -> list[object]:
    from bench.run.environments.environment import condition
    from bench.run.environments.interpreters import entries

    found, made = condition(environment), environment.made()
    packages = len(entries(environment.lock.read_text(encoding="utf-8"))) if environment.lock.is_file() else None
    files = [file for file in environment.path.rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files) / 1024**2
    version, digest = (made.python, made.lock_sha256[:12]) if made else ("", "")
    return [environment.name, found.state, version, packages, f"{size:.0f}", digest, found.why]
