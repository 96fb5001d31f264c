"""Tests who may import whom: the limits of adapters, command line and frameworks; `test_layers` has the rest."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.adapters.contracts import contracts

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {module for found in contracts().values() for module in found["modules"]}
ADAPTERS_MAY = ("bench.adapter", "bench.records", "bench.errors", "adapters")
FURTHER = {"fake": ("bench.dataset", "bench.data.formats.by_name"), "predictions": ("bench.data.predictions",)}
"""Adapter that is none of a framework -> what else it may import."""


@cache
def imports(path: Path) -> tuple[tuple[str, str], ...]:
    """Return (imported module, `file:line: source line`) of every import in a file."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            yield name, f"{path.relative_to(ROOT)}:{node.lineno}: {lines[node.lineno - 1].strip()}"


def files(*parts: str) -> list[Path]:
    found: list[Path] = []
    for part in parts:
        path = ROOT / part
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


def top(module: str) -> str:
    return module.split(".")[0]


def test_every_adapter_but_the_fakes_declares_its_framework():
    folders = {file.parent.name for file in (ROOT / "adapters").glob("*/adapter.py")}
    assert folders - set(contracts()) == {"fake", "predictions"}
    assert {"torch", "transformers", "onnxruntime", "openvino"} <= FRAMEWORKS


def test_the_harness_imports_no_framework():
    offending = [where for path in files("bench") for module, where in imports(path) if top(module) in FRAMEWORKS]
    assert offending == []


def test_an_adapter_sees_the_contract_and_nothing_else_of_ours():
    offending = [
        where
        for path in files("adapters")
        for module, where in imports(path)
        if top(module) == "bench" and not module.startswith((*ADAPTERS_MAY, *FURTHER.get(path.parent.name, ())))
    ]
    assert offending == []


def test_nobody_imports_the_command_line():
    offending = [
        where for path in files("bench", "adapters") for module, where in imports(path) if module == "bench.cli.main"
    ]
    assert offending == []


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys; from bench.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m in"
        " ('numpy', 'cv2', 'pandas', 'pydantic', 'matplotlib', 'torch', 'numba', 'rich')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_what_needs_a_gpu_lies_in_one_place():
    marked = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()}
    assert {path for path in marked if path != Path(__file__).relative_to(ROOT)} == set()
