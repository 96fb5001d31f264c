"""Name -> module: a name in a suite is a path in this tree, or in a folder of the user's, and there is no registry.

Metric `mean_iou` is `bench/metrics/mean_iou.py`, data set `shapes` is `bench/datasets/shapes.py`. Modules are listed
by their files, so that listing names imports none of them. Those of the user's lie in the folders that a flag names
(`--metrics DIR`), or in installed packages that have an entry point in a group of the same name (`bench.metrics`).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from bench.errors import PluginError, did_you_mean, in_one_line


class ExternalPlaces(NamedTuple):
    """Places outside of this tree where modules of a kind may lie.

    Attributes:
        flag: Flag of every command that takes such a folder; repeatable.
        variable: Environment variable with such folders, separated as in PATH; the flag sets it.
        group: Group of entry points; the name of each is that of its module.
    """

    flag: str
    variable: str
    group: str


OUTSIDE = {
    "bench.metrics": ExternalPlaces("--metrics", "BENCH_METRICS", "bench.metrics"),
    "bench.datasets": ExternalPlaces("--datasets", "BENCH_DATASETS", "bench.datasets"),
    "bench.report.loggers": ExternalPlaces("--loggers", "BENCH_LOGGERS", "bench.loggers"),
}
"""Package of ours -> where else its modules are looked for."""


_ROOT = Path(__file__).resolve().parents[2]


def harness_root() -> Path:
    """Folder that holds the packages `bench` and `adapters`."""
    return _ROOT


def python_path() -> str:
    """Value of `PYTHONPATH` by which a further process imports this harness, before what is there already."""
    return os.pathsep.join(filter(None, [str(harness_root()), os.environ.get("PYTHONPATH")]))


def module_names(package: str) -> list[str]:
    """Names of the public modules of a package of ours, for example `bench.metrics`, and of those outside, sorted."""
    return sorted({*_own_names(package), *outside_files(package)})


def outside_files(package: str) -> dict[str, Path]:
    """Name -> file of the modules of a kind that lie outside of this tree; the first folder with a name has it."""
    place = OUTSIDE.get(package)
    if place is None:
        return {}
    found: dict[str, Path] = {}
    for folder in filter(None, os.environ.get(place.variable, "").split(os.pathsep)):
        for file in sorted(Path(folder).glob("*.py")):
            if not file.name.startswith(("_", "test_")) and file.name != "conftest.py":
                found.setdefault(file.stem, file.resolve())
    return {**_files_of_packages(place.group, tuple(sys.path)), **found}


@lru_cache
def _files_of_packages(group: str, _: tuple[str, ...]) -> dict[str, Path]:
    """Name -> file of the entry points of a group; looked for once on each path, since that reads every package."""
    specs = {point.name: importlib.util.find_spec(point.value) for point in entry_points(group=group)}
    return {name: Path(spec.origin) for name, spec in specs.items() if spec is not None and spec.origin is not None}


def file_outside(module: str) -> Path | None:
    """File of a module by its name as one of ours, `bench.metrics.NAME`, where it lies outside; None elsewhere."""
    package, _, name = module.rpartition(".")
    return outside_files(package).get(name) if package in OUTSIDE and name not in _own_names(package) else None


def fault_outside(error: BaseException) -> str | None:
    """Return what an error is and where in a module from outside it came up; None if none of these was at work."""
    files = {str(file) for package in OUTSIDE for file in outside_files(package).values()}
    places = [place for place in traceback.extract_tb(error.__traceback__) if place.filename in files]
    if not places:
        return None
    return f"{places[-1].filename}, line {places[-1].lineno}: {type(error).__name__}: {in_one_line(error)}"


def named_module(package: str, name: str, what: str, listing: str) -> ModuleType:
    """Import the public module `name` of a package, or of that kind from outside.

    Raises:
        PluginError: If there is none; it calls the thing `what`, tells the nearest name and `bench list LISTING`. Also
            if there are two, one of ours and one from outside.
    """
    known = module_names(package)
    if name not in known:
        raise PluginError(f"no {what} named {name!r}.{did_you_mean(name, known)} List them with: bench list {listing}")
    outside = outside_files(package).get(name)
    if outside is None:
        return importlib.import_module(f"{package}.{name}")
    if name in _own_names(package):
        raise PluginError(
            f"{outside}: the harness has a {what} named {name!r} of its own, so that a suite would not say which one "
            "it means; give yours another name"
        )
    return _imported(outside, what)


def _own_names(package: str) -> list[str]:
    folder = harness_root().joinpath(*package.split("."))
    return [*_names_in(folder, folder.stat().st_mtime_ns if folder.is_dir() else 0)]


@lru_cache(maxsize=64)
def _names_in(folder: Path, _: int) -> tuple[str, ...]:
    """Public modules of a folder, looked for again when it changes: every look-up of a metric asks for them."""
    return tuple(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def _imported(file: Path, what: str) -> ModuleType:
    """Import a file once; two files of one name are two modules."""
    digits = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    name = f"bench_outside_{file.stem}_{digits}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} cannot be imported as a {what}; it must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, ImportError | SyntaxError):
            raise PluginError(f"{file} cannot be imported: {error}") from None
        raise
    return module


def listed_in(folder: Path) -> list[str]:
    """Return the names in a folder in order, none where there is no folder: a plan asks for them hundreds of times."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
