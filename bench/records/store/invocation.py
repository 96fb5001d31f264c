"""The flags a run was started with, kept in its record so that a printed command can be pasted as it stands."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from itertools import pairwise

from bench.adapter import ADAPTERS_VARIABLE
from bench.records.store.views import RunView

KEY = "flags"
"""Name in `environment.json`; records of before 0.2 lack it."""


def flags_of(options: Namespace) -> list[str]:
    """The flags that say where a run is and what runs it, as they were given; empty where all are defaults."""
    adapters = options.adapters or [part for part in os.environ.get(ADAPTERS_VARIABLE, "").split(os.pathsep) if part]
    flags = [word for folder in adapters for word in ("--adapters", folder)]
    if options.results != "results":
        flags += ["--results", options.results]
    for name in ("python", "env"):
        flags += [word for value in getattr(options, name) for word in (f"--{name}", value)]
    if getattr(options, "accept_code", None):
        flags += ["--accept-code", options.accept_code]
    return [*flags, "--envs", options.envs] if options.envs else flags


def rerun_command(run: RunView, case_id: str, kind: str) -> str:
    """The shell command that does the jobs of one kind of a case again, or scores it, with the flags of the run."""
    flags = run.environment.get(KEY)
    if kind == "score":
        # What a run is scored with needs its adapters, whose models the plan names, but no interpreter of them.
        adapters = _pairs(flags, "--adapters") if isinstance(flags, list) else []
        return shlex.join(["bench", "score", str(run.folder.path), *adapters])
    words = ["bench", "run", run.plan.source, *(["--case", case_id, "--kind", kind] if case_id else [])]
    return shlex.join([*words, *(str(flag) for flag in flags)] if isinstance(flags, list) else words)


def _pairs(flags: Sequence[object], name: str) -> list[str]:
    """A flag wherever it occurs, each time with its value."""
    words = [str(flag) for flag in flags]
    return [word for flag, value in pairwise(words) if flag == name for word in (flag, value)]
