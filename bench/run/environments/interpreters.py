"""Decides which Python runs an adapter, and reads what is installed there; locks list it package by package.

A lock is a file in the form of pip's requirements, with the hashes that each package was checked against. Comments and
order do not count, so that a digest says whether two environments hold the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.adapter import adapter_folder, adapter_folders
from bench.errors import BenchError
from bench.records import Runtime
from bench.records.names import harness_root, python_path
from bench.records.store.code import Code, code_of_folders, content_of, files_beside, reference_root
from bench.records.store.files import State, file_state

HARNESS_PACKAGES = ("numpy", "opencv-python-headless")
"""Packages of the harness itself that can change a prediction or a picture."""

_EXPORT = ("onnx", "onnxscript")

RUNTIME_PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "compile": ("triton",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", *_EXPORT),
    "openvino": ("openvino", "onnxruntime", *_EXPORT),
    "tensorrt": ("onnxruntime-gpu", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", *_EXPORT),
}
"""Packages that make a runtime, under all of their names; ONNX Runtime also quantises what OpenVINO runs in int8."""

_QUESTION = """
import email, importlib.metadata as m, json, platform
found = {}
for d in m.distributions():
    # The description below the fields is long, and not parsed.
    text = d.read_text("METADATA") or d.read_text("PKG-INFO") or d.read_text("") or ""
    get = email.message_from_string(text.partition("\\n\\n")[0]).get_all
    name = (get("Name") or [""])[0]
    if name and name.lower() not in found:
        found[name.lower()] = {
            "name": name,
            "version": (get("Version") or [""])[0],
            "expression": (get("License-Expression") or [""])[0],
            "licence": (get("License") or [""])[0],
            "classifiers": [c for c in get("Classifier") or [] if c.startswith("License ::")],
            "summary": (get("Summary") or [""])[0],
        }
answer = {"implementation": platform.python_implementation(), "version": platform.python_version()}
print(json.dumps({**answer, "packages": list(found.values())}))
"""


class Inventory(NamedTuple):
    """Hold what an interpreter has: Python, and metadata of each package that is imported, one of each name."""

    implementation: str
    version: str
    packages: list[dict[str, Any]]


@cache
def inventory(python: Path) -> Inventory:
    """Ask an interpreter for its packages, without importing any of them; raises `BenchError` if it cannot be asked."""
    try:
        return Inventory(**json.loads(printed_by(python, _QUESTION)))
    except (ValueError, TypeError) as error:
        raise BenchError(f"{python} cannot be asked for its packages: {error}") from None


def printed_by(python: Path, program: str, failed: str = "cannot be asked for its packages", fix: str = "") -> str:
    """Return what a program prints in another interpreter; raises `BenchError` if it cannot be run, with the fix."""
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"{python} {failed}: {error}{fix}") from None
    return done.stdout


def asked(python: Path, module: str, *arguments: str, question: str = "") -> dict[str, Any] | None:
    """Return what a module of ours answers in another interpreter, JSON in its last line; None where it has no answer.

    It gets the arguments, and the question as its standard input.
    """
    environment = {**os.environ, "PYTHONPATH": python_path()}
    command = [str(python), "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, input=question, capture_output=True, text=True, timeout=600, env=environment, check=False
        )
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return answer


@dataclass(frozen=True)
class Interpreters:
    """Adapter name -> Python; the running one unless another was chosen.

    Attributes:
        chosen: Adapter -> its interpreter.
        locks: Adapter -> list of what is in its environment, where it has one of its own (`environment.py`).
        environments: Folder of these; None = where they lie by default.
    """

    chosen: dict[str, Path] = field(default_factory=dict)
    locks: dict[str, Path] = field(default_factory=dict)
    environments: Path | None = None

    def python(self, adapter: str) -> Path:
        """Return the interpreter that runs an adapter."""
        return self.chosen.get(adapter, Path(sys.executable))

    def versions(self, adapter: str) -> dict[str, str]:
        """Return package -> version of what the adapter's `requirements.txt` and the harness name.

        A package that is not installed is left out; the worker then says what is missing.
        """
        return self._installed(adapter, (*required_packages(adapter), *HARNESS_PACKAGES))

    def runtime_versions(self, adapter: str, runtime: Runtime) -> dict[str, str]:
        """Return package -> version of what makes a runtime in the adapter's interpreter; empty for `eager`."""
        return self._installed(adapter, RUNTIME_PACKAGES.get(runtime, ()))

    def _installed(self, adapter: str, wanted: Iterable[str]) -> dict[str, str]:
        installed = installed_packages(self.python(adapter))
        return {name: installed[normal_name(name)] for name in wanted if normal_name(name) in installed}


def parse_choices(choices: list[str]) -> Interpreters:
    """Read `--python ADAPTER=PATH` flags; raises `BenchError` if one is malformed or not there."""
    chosen: dict[str, Path] = {}
    for choice in choices:
        adapter, _, path = choice.partition("=")
        if not path or adapter not in adapter_folders():
            known = ", ".join(sorted(adapter_folders()))
            raise BenchError(f"--python {choice}: expected ADAPTER=PATH with one of the adapters {known}")
        if not Path(path).is_file():
            raise BenchError(f"--python {choice}: there is no interpreter at {path}")
        chosen[adapter] = Path(path).absolute()
    return Interpreters(chosen)


def requirements(adapter: str) -> list[str]:
    """Return lines of an adapter's `requirements.txt`, without comments; empty where it has none."""
    lines = _requirement_lines(adapter)
    return [line for line in (line.split(" #", 1)[0].strip() for line in lines) if line and not line.startswith("#")]


def required_packages(adapter: str) -> tuple[str, ...]:
    """Return the package names in an adapter's `requirements.txt`, in order."""
    return tuple(match["name"] for match in _requirements(adapter))


def alternatives(adapter: str) -> dict[str, str]:
    """Normalised names in an adapter's `requirements.txt` -> that of a package that serves as well.

    It stands behind the requirement: `sal-detectron2  # or: detectron2`.
    """
    found = _requirements(adapter)
    return {normal_name(match["name"]): normal_name(match["other"]) for match in found if match["other"]}


_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)[^#]*(?:#\s*or:\s*(?P<other>[A-Za-z0-9._-]+))?")


def _requirements(adapter: str) -> list[re.Match[str]]:
    return [match for line in _requirement_lines(adapter) if (match := _REQUIREMENT.match(line))]


def _requirement_lines(adapter: str) -> tuple[str, ...]:
    file = adapter_folder(adapter) / "requirements.txt"
    state = file_state(file)
    return () if state is None else _lines_of(file, state)


@lru_cache(maxsize=256)
def _lines_of(file: Path, _: State) -> tuple[str, ...]:
    return tuple(file.read_text(encoding="utf-8").splitlines())


@cache
def installed_packages(python: Path) -> Mapping[str, str]:
    """Return normalised package name -> version in an interpreter, without importing any of them."""
    # Of two spellings of a name the first is the one that is imported.
    return {normal_name(found["name"]): found["version"] for found in reversed(inventory(python).packages)}


def name_in(requirement: str) -> str:
    """Return the package name at the beginning of a requirement.

    >>> name_in("lightning[extra]>=2.4,<3")
    'lightning'
    """
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return requirement[:end]


def normal_name(name: str) -> str:
    """Return a package's name in the one spelling that compares (PEP 503).

    >>> normal_name("ruamel.Yaml_clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def adapter_code(adapter: str) -> Code:
    """Return code of an adapter's Python files, and of those of `_torch` where it uses them.

    An adapter of this tree is that of `reference_root`; one from outside is what it is now, with what it imports from
    the package that it belongs to.
    """
    folder, root = adapter_folder(adapter), reference_root()
    inside = folder.parent == harness_root() / "adapters"
    own, home = (root / "adapters" / adapter, root) if inside else (folder, folder.parent)
    code = code_of_folders([own], home)
    files = [home / path for path in code]
    beside = {} if inside else files_beside(files)
    code |= {place: content_of(file) for file, place in beside.items()}
    uses_torch = any(_names_torch(file, file_state(file)) for file in (*files, *beside))
    return {**code, **code_of_folders([root / "adapters" / "_torch"], root)} if uses_torch else code


@lru_cache(maxsize=4096)
def _names_torch(file: Path, _: State | None) -> bool:
    return "adapters._torch" in file.read_text(encoding="utf-8")


def lock_digest(text: str) -> str:
    """Return the SHA-256 of a lock's entries: comments, blanks and their order do not count."""
    return hashlib.sha256("\n".join(sorted(entries(text))).encode()).hexdigest()


def entries(lock: str) -> list[str]:
    r"""Return the entries of a lock, each in one line.

    >>> entries("# made by\nnumpy==2.1.0 \\\n    --hash=sha256:ab\n\n")
    ['numpy==2.1.0 --hash=sha256:ab']
    """
    lines = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in joined if line.strip()]


def pins(lock: str) -> list[str]:
    r"""`name==version` of a lock's entries, names normalised; entries by address are `name @ address`.

    Entries for some machines only, which have a marker, are left out.

    >>> pins("Pillow==11.0 --hash=sha256:ab\npywin32==306 ; sys_platform == 'win32'\n")
    ['pillow==11.0']
    """
    found = []
    for entry in (entry for entry in entries(lock) if " ;" not in entry):
        requirement = entry.split(" --hash", 1)[0].strip()
        name = name_in(requirement)
        found.append(normal_name(name) + requirement[len(name) :])
    return found


def all_hashed(lock: str) -> bool:
    """Return whether every entry has a hash; what comes from a repository has none."""
    return all("--hash=" in entry for entry in entries(lock))


def comment(lock: str, name: str) -> str | None:
    r"""Return what a lock states about itself under a name, in a comment of the form `# name: value`.

    >>> comment("# torch-backend: cpu\nnumpy==2.1.0\n", "torch-backend")
    'cpu'
    """
    prefix = f"# {name}: "
    return next((line[len(prefix) :].strip() for line in lock.splitlines() if line.startswith(prefix)), None)
