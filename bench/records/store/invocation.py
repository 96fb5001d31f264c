"""The flags a run was started with, kept in its record so that a printed command can be pasted as it stands."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from bench.adapter import ADAPTERS_VARIABLE, adapter_folders
from bench.errors import BenchError
from bench.records.names import OUTSIDE
from bench.records.store.views import RunView

KEY = "flags"
"""Name in `environment.json`; records of before 0.2 lack it."""

FOLDERS = {"--adapters": ADAPTERS_VARIABLE, **{place.flag: place.variable for place in OUTSIDE.values()}}
"""Flag with a folder of the user's modules -> the variable that it sets."""


def flags_of(options: Namespace) -> list[str]:
    """Return the flags that say where a run is and what runs it, as they were given; empty where all are defaults."""
    folders = [(flag, folder) for flag, variable in FOLDERS.items() for folder in _searched(variable)]
    flags = [word for pair in folders for word in pair]
    if options.results != "results":
        flags += ["--results", options.results]
    for name in ("python", "env"):
        flags += [word for value in getattr(options, name) for word in (f"--{name}", value)]
    if getattr(options, "accept_code", None):
        flags += ["--accept-code", options.accept_code]
    return [*flags, "--envs", options.envs] if options.envs else flags


def rerun_command(run: RunView, case_id: str, kind: str | None = None) -> str:
    """Return the shell command that does a case, its jobs of a kind or its scores again, with the run's flags."""
    flags = run.environment.get(KEY)
    if kind == "score":
        # What a run is scored with needs its adapters, whose models the plan names, but no interpreter of them.
        folders = [(flag, folder) for flag in FOLDERS for folder in _folders_of(run, flag)]
        return shlex.join(["bench", "score", str(run.folder.path), *(word for pair in folders for word in pair)])
    words = ["bench", "run", run.plan.source, *(["--case", case_id] if case_id else [])]
    words += ["--kind", kind] if case_id and kind else []
    return shlex.join([*words, *(str(flag) for flag in flags)] if isinstance(flags, list) else words)


def _folders_of(run: RunView, wanted: str) -> list[str]:
    """Return the folders that a flag named when a run was started."""
    flags = run.environment.get(KEY)
    return [str(value) for flag, value in pairwise(flags) if flag == wanted] if isinstance(flags, list) else []


def find_adapters(run: RunView, needed: Iterable[str]) -> list[str]:
    """Search the folders of adapters that a run was started with, too, where an adapter of it is not known here.

    Returns:
        The folders that are searched in addition; none where every adapter is known already.

    Raises:
        BenchError: If an adapter is not found there either.
    """
    wanted = set(needed)
    if wanted <= adapter_folders().keys():
        return []
    recorded = _folders_of(run, "--adapters")
    found = [folder for folder in recorded if Path(folder).is_dir()]
    os.environ[ADAPTERS_VARIABLE] = os.pathsep.join([*_searched(ADAPTERS_VARIABLE), *found])
    lacking = sorted(wanted - adapter_folders().keys())
    if lacking:
        where = (
            f"it was started with --adapters {', '.join(recorded)}" if recorded else "it does not say where they lay"
        )
        raise BenchError(
            f"{run.folder.path} is of adapters that are not found here: {', '.join(lacking)}; {where}. "
            "Give the folder that holds them with --adapters DIR"
        )
    return found


def _searched(variable: str) -> list[str]:
    """Return the folders that a variable has searched for further modules."""
    return [part for part in os.environ.get(variable, "").split(os.pathsep) if part]
