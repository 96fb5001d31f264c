"""Interpreters of their own for adapters: where they lie, whether they can be used, and choosing them.

An environment is a virtual environment `<folder>/<adapter>`, made by `bench env create` from the
adapter's requirements (`create.py`). Its last file is the marker: without it the making
was interrupted, and the environment is as good as absent. `packages.lock` in it lists every package
with the hashes it was checked against; the digest of that list goes into the record of a run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.adapter import adapter_folders
from bench.errors import BenchError, SuiteError, did_you_mean
from bench.records import Record, read_record
from bench.records.names import harness_root
from bench.run.environments.interpreters import (
    Interpreters,
    lock_digest,
    name_in,
    normal_name,
    parse_choices,
    pins,
    printed_by,
    requirements,
)

MARKER = "bench-environment.json"
LOCK = "packages.lock"
WORKER_PACKAGES = ("numpy", "opencv-python-headless", "pydantic", "pillow", "pyyaml", "psutil", "nvidia-ml-py")
"""Packages that the harness's side of a worker imports, as far as it needs or can use them."""

OwnInterpreter = Literal["isolated", "running"]
"""This says which interpreter a suite chooses for an adapter: its own environment, or the one that runs `bench`."""

_OWN_PACKAGES = (
    "import importlib.metadata as m, json, sysconfig as s\n"
    "folders = sorted({s.get_path('purelib'), s.get_path('platlib')})\n"
    "print(json.dumps([[d.metadata['Name'], d.version, d.read_text('direct_url.json')]"
    " for d in m.distributions(path=folders) if d.metadata['Name']]))"
)


class EnvironmentInfo(Record):
    """State how an environment was made, written last.

    Attributes:
        adapter: Adapter whose requirements it holds.
        python: Version of its interpreter.
        requirements_sha256: Digest of the requirements.
        lock_sha256: Digest of the installed packages: `lock_digest` of its `packages.lock`.
        shared: True if the packages of `WORKER_PACKAGES` are those of the interpreter that runs `bench`.
        installer: Installer that made it, with its version.
        made_at: Time at which it was made; UTC, ISO 8601.
    """

    adapter: str
    python: str
    requirements_sha256: str
    lock_sha256: str
    shared: bool
    installer: str
    made_at: str


@dataclass(frozen=True)
class Environment:
    """A folder that is, or will be, the environment of an adapter."""

    path: Path

    @property
    def name(self) -> str:
        """The adapter, or `adapter@digest` for one that was rebuilt from the lock of a run."""
        return self.path.name

    @property
    def adapter(self) -> str:
        """Whose environment it is."""
        return self.name.partition("@")[0]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def lock(self) -> Path:
        """Return what was installed, with hashes."""
        return self.path / LOCK

    @property
    def wish(self) -> Path:
        """Lock file beside it, which `bench env create` follows where there is one."""
        return self.path.with_name(f"{self.name}.lock")

    def made(self) -> EnvironmentInfo | None:
        """Return how it was made; None if that was never finished."""
        try:
            return read_record(EnvironmentInfo, self.path / MARKER)
        except (OSError, ValidationError, UnicodeDecodeError):
            return None


EnvironmentState = Literal["ready", "missing", "incomplete", "stale", "changed"]


@dataclass(frozen=True)
class Condition:
    """State whether an environment can be used; `why` says why not."""

    state: EnvironmentState
    why: str = ""


def environments_folder(chosen: str | None) -> Path:
    """Return the folder of all environments: the one that was chosen, else beside the adapters they belong to.

    That is `.venvs` in the harness's own folder where this is a source tree that can be written, else
    `segbench/envs` in the user's data folder (`$XDG_DATA_HOME`, `~/.local/share`).
    """
    if chosen is not None:
        return Path(chosen).absolute()
    root = harness_root()
    if (root / "pyproject.toml").is_file() and os.access(root, os.W_OK):
        return root / ".venvs"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "segbench" / "envs"


def all_environments(folder: Path) -> list[Environment]:
    """Return every environment in a folder, finished or not, by name."""
    return [Environment(file.parent) for file in sorted(folder.glob("*/pyvenv.cfg"))]


def condition(environment: Environment) -> Condition:
    """Tell whether an environment can be used; asks its interpreter for its packages."""
    if not environment.path.exists():
        return Condition("missing", "was never made")
    made = environment.made()
    if made is None or not environment.python.exists() or not environment.lock.is_file():
        return Condition("incomplete", "its making was interrupted")
    if environment.name == environment.adapter and made.requirements_sha256 != requirements_digest(environment.adapter):
        return Condition("stale", "the requirements have changed since it was made")
    text = environment.lock.read_text(encoding="utf-8")
    if lock_digest(text) != made.lock_sha256:
        return Condition("changed", f"its {LOCK} was changed by hand")
    installed = {pin for pin, _ in _as_pins(environment)}
    gone = [pin for pin in pins(text) if "==" in pin and pin not in installed]
    if gone:
        return Condition("changed", f"it no longer holds {', '.join(gone)}")
    return Condition("ready")


def usable(folder: Path, adapter: str) -> Environment:
    """Return the environment of an adapter.

    Raises:
        BenchError: If it is not ready, with the command that makes it so.
    """
    environment = Environment(folder / adapter)
    found = condition(environment)
    if found.state != "ready":
        raise BenchError(
            f"the environment of adapter {adapter!r} at {environment.path} is {found.state}: {found.why}. "
            f"Make it with: bench env create {adapter}"
        )
    return environment


def choose_interpreters(python: Sequence[str], env: Sequence[str], envs: str | None) -> Interpreters:
    """Read `--python ADAPTER=PATH`, `--env ADAPTER` and `--envs DIR`.

    Raises:
        BenchError: If one names no adapter, both name the same one, or an environment is not ready.
    """
    interpreters = replace(parse_choices(list(python)), environments=environments_folder(envs))
    for adapter in env:
        known_adapter(adapter, "--env")
        if adapter in interpreters.chosen:
            raise BenchError(f"--env {adapter} and --python {adapter}=… choose two interpreters; give one of them")
    return isolated(interpreters, env)


def isolated(interpreters: Interpreters, adapters: Iterable[str]) -> Interpreters:
    """Return the interpreters with these adapters in their own environments; raises `BenchError` if one is unready."""
    folder = interpreters.environments or environments_folder(None)
    for adapter in adapters:
        interpreters = with_environment(interpreters, adapter, usable(folder, adapter))
    return interpreters


def with_environment(interpreters: Interpreters, adapter: str, environment: Environment) -> Interpreters:
    """Return the interpreters with an adapter in this environment."""
    return replace(
        interpreters,
        chosen={**interpreters.chosen, adapter: environment.python},
        locks={**interpreters.locks, adapter: environment.lock},
    )


def with_choices_of_suite(
    interpreters: Interpreters, choices: Mapping[str, OwnInterpreter], used: Iterable[str], source: Path
) -> Interpreters:
    """Follow the suite's `environments`, as far as no flag says otherwise.

    An environment that no adapter in use needs may be missing.

    Raises:
        SuiteError: If a choice names no adapter, or an environment is not ready.
    """
    for adapter in choices:
        try:
            known_adapter(adapter, "environments")
        except BenchError as error:
            raise SuiteError(f"{source}: {error}") from None
    wanted = {adapter for adapter in used if choices.get(adapter) == "isolated"} - {*interpreters.chosen}
    try:
        return isolated(interpreters, sorted(wanted))
    except BenchError as error:
        raise SuiteError(f"{source}: environments: {error}") from None


def known_adapter(name: str, where: str = "") -> str:
    """Return the name, if there is such an adapter; raises `BenchError` with the nearest."""
    if name not in adapter_folders():
        at = f"{where}: " if where else ""
        raise BenchError(
            f"{at}no adapter named {name!r}.{did_you_mean(name, adapter_folders())} List them with: bench list adapters"
        )
    return name


def worker_requirements() -> list[str]:
    """Return what a worker needs for the harness's side, in the versions that the harness's own metadata allows."""
    try:
        declared = [text.split(";", 1)[0].strip() for text in requires("segbench") or ()]
    except PackageNotFoundError:
        declared = []
    by_name = {normal_name(name_in(text)): text for text in declared}
    return [by_name.get(name, name) for name in WORKER_PACKAGES]


def requirements_digest(adapter: str) -> str:
    """Return the SHA-256 of what an environment of the adapter is made from."""
    return hashlib.sha256("\n".join([*requirements(adapter), *worker_requirements()]).encode()).hexdigest()


def own_packages(environment: Environment) -> list[tuple[str, str, str | None]]:
    """(name, version, PEP 610 record) of what is installed in an environment itself, not of what it shares."""
    fix = f". Make it anew with: bench env create {environment.adapter} --again"
    answer = json.loads(printed_by(environment.python, _OWN_PACKAGES, fix=fix))
    return [(name, version, origin) for name, version, origin in answer]


def frozen(environment: Environment) -> list[str]:
    """Requirements that name exactly what is installed, but for pip itself."""
    return sorted(pin for pin, name in _as_pins(environment) if name != "pip")


def _as_pins(environment: Environment) -> list[tuple[str, str]]:
    """(requirement, normalised name) of every package that is installed."""
    found = []
    for name, version, origin in own_packages(environment):
        normal = normal_name(name)
        found.append((_by_address(normal, origin) or f"{normal}=={version}", normal))
    return found


def _by_address(name: str, origin: str | None) -> str | None:
    """Return the requirement of a package that came from an address (PEP 610), None for one from an index."""
    if origin is None:
        return None
    record = json.loads(origin)
    if "vcs_info" in record:
        return f"{name} @ {record['vcs_info']['vcs']}+{record['url']}@{record['vcs_info']['commit_id']}"
    return f"{name} @ {record['url']}" if "archive_info" in record else None
