"""Tests who may import whom in `bench`: an ordered list of layers; what a worker may load; how long files may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    # ground
    "bench",
    "bench.errors",
    "bench.records",
    "bench.dataset bench.metric bench.logger bench.adapter",
    "bench.records.store",
    # tools
    "bench.data.formats",
    "bench.data.corruptions",
    # judge
    "bench.score.stats",
    "bench.metrics",
    "bench.data.labels",
    "bench.datasets",
    "bench.data.predictions",
    "bench.score",
    # plan
    "bench.suite",
    # measure
    "bench.measure",
    # say
    "bench.report.summary",
    "bench.report.draw",
    "bench.report",
    "bench.report.html",
    "bench.report.compact",
    "bench.report.loggers",
    # do
    "bench.run.worker",
    "bench.run.environments",
    "bench.run.planning",
    "bench.run",
    "bench.run.executors",
    "bench.run.tuning",
    "bench.run.predict.worker",
    "bench.run.predict",
    "bench.run.repro",
    "bench.run.compare",
    "bench.run.audit",
    "bench.run.archive",
    "bench.run.remote",
    # tools on top of them
    "bench.data.exports",
    "bench.data.predictions.writing",
    "bench.data",
    "bench.data.prepare",
    "bench.run.doctor",
    # door
    "bench.cli",
    "bench.cli.commands bench.cli.commands.data bench.cli.commands.env bench.cli.commands.new "
    "bench.cli.commands.weights",
)
"""Lowest first; packages on one line do not import each other. A package imports lower layers and itself alone."""

IN_A_WORKER = (
    "bench",
    "bench.adapter",
    "bench.data.corruptions",
    "bench.data.formats",
    "bench.data.labels",
    "bench.data.predictions",
    "bench.dataset",
    "bench.datasets",
    "bench.errors",
    "bench.measure",
    "bench.metric",
    "bench.metrics",
    "bench.records",
    "bench.records.store",
    "bench.run.predict.worker",
    "bench.run.worker",
    "bench.score.stats",
)
"""Whole packages that a job may load. All that they import, directly or not, must be among them."""

WORKER_NEEDS = {"numpy", "cv2", "pydantic", "pydantic_core", "typing_extensions", "adapters"}  # pydantic brings two
IMPORTED_WHEN_USED = {
    "orjson",
    "PIL", "SimpleITK", "nibabel", "nrrd", "numba", "pillow_heif", "psutil", "pyarrow", "pydicom", "pynvml", "skimage",
    "tifffile", "yaml",
}  # fmt: skip
"""What a worker's packages may import inside functions, or in modules that only metrics load."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "bench").rglob("*.py"))
}
RANK = {package: rank for rank, line in enumerate(LAYERS) for package in line.split()}


def layer_of(module: str) -> str:
    """The package of a module, or the module itself where it stands at the root of `bench`."""
    if MODULES[module].name == "__init__.py":
        return module
    package = module.rpartition(".")[0]
    return module if package == "bench" else package


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield (imported module, `file:line: source line`) of every import of a module, those inside functions too."""
    source = MODULES[module].read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    if module == "bench":  # the front door names what it opens on, for type checkers alone
        tree.body = [node for node in tree.body if "TYPE_CHECKING" not in ast.unparse(node).split(":")[0]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]
        else:
            continue
        where = f"{MODULES[module].relative_to(ROOT)}:{node.lineno}: {lines[node.lineno - 1].strip()}"
        yield from ((name, where) for name in names)


@cache
def all_edges() -> dict[str, list[tuple[str, str]]]:
    """Module -> its imports, as `imports` yields them; read when a test asks, not when the tests are collected."""
    return {module: [*imports(module)] for module in MODULES}


def test_every_package_has_a_layer():
    assert sorted({layer_of(module) for module in MODULES} ^ set(RANK)) == []


def test_a_package_imports_only_lower_layers():
    offending = [
        where
        for module, edges in all_edges().items()
        for name, where in edges
        if name in MODULES and layer_of(name) != layer_of(module) and RANK[layer_of(name)] >= RANK[layer_of(module)]
    ]
    assert offending == []


def test_a_private_module_is_imported_by_its_own_package_alone():
    offending = []
    for module, edges in all_edges().items():
        for name, where in edges:
            owner = name.partition("._")[0]
            if "._" in name and name in MODULES and layer_of(module) != owner:
                offending.append(where)
    assert offending == []


def test_no_two_files_import_each_other_in_a_circle():
    above: dict[str, set[str]] = {
        m: {n for n, _ in edges if n in MODULES and n != m} for m, edges in all_edges().items()
    }
    while leaves := [m for m, below in above.items() if not below & above.keys()]:
        for leaf in leaves:
            del above[leaf]
    assert sorted(above) == []


def test_what_a_worker_loads_are_whole_packages_and_nothing_else():
    offending = [
        where
        for module in MODULES
        if layer_of(module) in IN_A_WORKER
        for name, where in all_edges()[module]
        if name in MODULES and layer_of(name) not in IN_A_WORKER
    ]
    assert offending == []


def test_a_worker_needs_only_numpy_opencv_and_pydantic():
    allowed = WORKER_NEEDS | IMPORTED_WHEN_USED | {"bench"} | set(sys.stdlib_module_names)
    offending = [
        where
        for module in MODULES
        if layer_of(module) in IN_A_WORKER
        for name, where in all_edges()[module]
        if name.split(".")[0] not in allowed
    ]
    assert offending == []


def test_the_map_lists_every_name_at_the_root_of_bench_and_these_are_few():
    names = {path.name for path in (ROOT / "bench").iterdir() if not path.name.startswith((".", "__pycache__"))}
    table = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    assert len(names) <= 18
    unlisted = [n for n in sorted(names) if n not in ("README.md", "__init__.py", "py.typed") and f"`{n}" not in table]
    assert unlisted == []


@pytest.mark.parametrize("package", [p for p in RANK if p != "bench"])
def test_a_package_says_in_a_sentence_what_it_is_for(package):
    docstring = ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8")))
    assert docstring is not None
    assert len(docstring.split(".")[0].split()) >= 3


# ------------------------------------------------------------------ sizes

CODE = ("bench", "adapters", "tests")
FILE_LINES, FUNCTION_LINES = 400, 60
"""A longer file has two subjects, a longer function two levels of abstraction: split it, to where a reader looks."""


def python_files(*parts: str) -> list[Path]:
    return sorted(path for part in parts for path in (ROOT / part).rglob("*.py"))


def test_no_file_is_long():
    lengths = {path.relative_to(ROOT): path.read_bytes().count(b"\n") for path in python_files(*CODE)}
    assert [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES] == []


def test_no_function_is_long():
    offending = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {lines} lines"
        for path in python_files(*CODE)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert offending == []
