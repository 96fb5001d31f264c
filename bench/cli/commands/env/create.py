"""`bench env create`: make the environment of an adapter."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.cli.arguments import Namespace, Parser
from bench.cli.commands.env._choice import add_builds, environment_of, sources_of

HELP = "make the environment of an adapter"
ORDER = 1


def add_arguments(parser: Parser) -> None:
    parser.option("adapter", "ADAPTER", "name of an adapter (see: bench list adapters)")
    parser.option("--lock", "FILE", "install exactly this lock (default: the one of bench env lock)")
    parser.option("--python", "PYTHON", "interpreter, or its version (default: that of bench)")
    parser.switch("--share", "take NumPy, OpenCV and the like from the interpreter that runs bench")
    parser.switch("--again", "create it again even if it is ready")
    add_builds(parser)
    parser.shared("--envs")


def execute(options: Namespace) -> int:
    """Make it; its interpreter is the answer."""
    from bench.run.environments.create import Options, create
    from bench.run.environments.interpreters import entries
    from bench.run.environments.uv import telling

    environment = environment_of(options)
    asked = Options(
        sources=sources_of(options),
        share=options.share,
        lock=Path(options.lock) if options.lock else None,
        again=options.again,
    )
    asked = replace(asked, python=options.python) if options.python else asked
    started = time.monotonic()
    with telling() as tell:
        made = create(environment, asked, tell)
    count = len(entries(environment.lock.read_text(encoding="utf-8")))
    print(
        f"{environment.name}: Python {made.python}, {count} packages, {time.monotonic() - started:.1f} s. "
        f"Use it with: bench run SUITE.yaml --env {environment.adapter}",
        file=sys.stderr,
    )
    print(environment.python)
    return 0
