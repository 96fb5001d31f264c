"""What each command of `bench env` does. Results go to standard output, progress to standard error."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tabulate import tabulate

from bench.errors import BenchError, did_you_mean
from bench.run.environments.create import Wishes, create, lock, remove
from bench.run.environments.environment import (
    Environment,
    all_environments,
    condition,
    environments_folder,
    known_adapter,
    usable,
)
from bench.run.environments.installers import Sources, Tell
from bench.run.environments.interpreters import inventory
from bench.run.environments.locks import entries
from bench.run.environments.sbom import bill_of_materials


def env_command(options: Namespace) -> int:
    """`bench env …`."""
    actions = {
        "create": create_command,
        "list": list_command,
        "lock": lock_command,
        "remove": remove_command,
        "sbom": sbom_command,
    }
    return actions[options.action](options)


def create_command(options: Namespace) -> int:
    """`bench env create`: make the environment of an adapter; its interpreter is the answer."""
    environment = _environment(options)
    wishes = Wishes(
        sources=_sources(options),
        share=options.share,
        lock=Path(options.lock) if options.lock else None,
        again=options.again,
    )
    wishes = replace(wishes, python=options.python) if options.python else wishes
    started = time.monotonic()
    with telling() as tell:
        made = create(environment, wishes, tell)
    count = len(entries(environment.lock.read_text(encoding="utf-8")))
    print(
        f"{environment.name}: Python {made.python}, {count} packages, {time.monotonic() - started:.1f} s. "
        f"Use it with: bench run SUITE.yaml --env {environment.adapter}",
        file=sys.stderr,
    )
    print(environment.python)
    return 0


def list_command(options: Namespace) -> int:
    """`bench env list`: every environment, and whether it can be used."""
    folder = environments_folder(options.envs)
    rows = [_row(environment) for environment in all_environments(folder)]
    if rows:
        print(tabulate(rows, headers=["environment", "state", "Python", "packages", "MiB", "lock", "why"]))
    else:
        print(f"no environment in {folder}; make one with: bench env create ADAPTER")
    return 0


def lock_command(options: Namespace) -> int:
    """`bench env lock`: write down what is installed, with hashes."""
    with telling() as tell:
        print(lock(_environment(options), _sources(options), tell))
    return 0


def remove_command(options: Namespace) -> int:
    """`bench env remove`: remove an environment; its lock stays."""
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


def sbom_command(options: Namespace) -> int:
    """`bench env sbom`: a bill of materials of an adapter's environment, or of the running interpreter."""
    if options.adapter is None:
        python, used_by = Path(sys.executable), ["bench"]
    else:
        adapter = known_adapter(options.adapter)
        python, used_by = usable(environments_folder(options.envs), adapter).python, [adapter]
    print(json.dumps(bill_of_materials([(inventory(python), used_by)]), indent=2))
    return 0


def _environment(options: Namespace) -> Environment:
    return Environment(environments_folder(options.envs) / known_adapter(options.adapter))


def _sources(options: Namespace) -> Sources:
    return Sources(tuple(options.find_links), options.no_index, options.torch_backend)


def _row(environment: Environment) -> list[object]:
    found, made = condition(environment), environment.made()
    packages = len(entries(environment.lock.read_text(encoding="utf-8"))) if environment.lock.is_file() else None
    files = [file for file in environment.path.rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files) / 1024**2
    version, digest = (made.python, made.lock_sha256[:12]) if made else ("", "")
    return [environment.name, found.state, version, packages, f"{size:.0f}", digest, found.why]


@contextmanager
def telling() -> Iterator[Tell]:
    """Progress: on a terminal one line that changes, elsewhere a line for each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told: set[str] = set()

        def tell_step(line: str) -> None:
            step = line.partition(": ")[0]
            if step not in told:
                told.add(step)
                print(line, file=sys.stderr)

        yield tell_step
        return
    started = time.monotonic()
    with console.status("") as status:

        def tell(line: str) -> None:
            width = max(20, console.width - 12)
            status.update(f"{time.monotonic() - started:5.0f} s  {line[:width]}")

        yield tell
