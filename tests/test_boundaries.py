"""Who may import whom: the rules of bench/README.md, read off the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.contracts import contracts

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {module for found in contracts().values() for module in found["modules"]}
WORKER_SIDE = (
    "adapter.py",
    "records",
    "predictions.py",
    "prompts.py",
    "plugins.py",
    "errors.py",
    "measure",
    "datasets",
    "metrics",
    "predict/frames.py",
    "predict/outputs.py",
    "predict/request.py",
    "predict/working.py",
    *(f"run/{name}.py" for name in ("worker", "work", "building", "job_data", "loading", "progress", "training_log")),
    *(f"run/{name}.py" for name in ("predict_files", "profile_job", "throughput_job", "environment_variables")),
)
WORKER_MAY = {"numpy", "cv2", "pydantic", "pydantic_core", "bench", "adapters"}
OPTIONAL_INSIDE = {
    "bench/data/formats/documents.py": {"yaml"},
    "bench/data/formats/image_files.py": {"PIL"},
    "bench/datasets/brain.py": {"nibabel"},
    "bench/run/predict/outputs.py": {"PIL"},
    "bench/metrics/_compile.py": {"numba"},
    "bench/metrics/_confusion.py": {"numba"},
    "bench/metrics/_instances.py": {"numba"},
    "bench/metrics/_masks.py": {"numba"},
    "bench/metrics/_panoptic.py": {"numba"},
    "bench/measure/devices.py": {"pynvml"},
    "bench/measure/environment.py": {"pynvml", "psutil"},
    "bench/measure/telemetry.py": {"pynvml", "psutil"},
}
ADAPTERS_MAY = ("bench.adapter", "bench.records", "bench.records.predictions", "bench.errors", "adapters")
FAKES_MAY = (*ADAPTERS_MAY, "bench.plugins", "bench.datasets")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (imported module, `file:line: source line`) of every import in a file."""
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
    assert folders - set(contracts()) == {"fake"}
    assert {"torch", "transformers", "onnxruntime", "openvino"} <= FRAMEWORKS


def test_the_harness_imports_no_framework():
    offending = [where for path in files("bench") for module, where in imports(path) if top(module) in FRAMEWORKS]
    assert offending == []


def test_what_runs_in_a_worker_needs_only_numpy_opencv_and_pydantic():
    worker = [p for part in WORKER_SIDE for p in files(f"bench/{part}")]
    offending = [
        where
        for path in worker
        for module, where in imports(path)
        if top(module) not in sys.stdlib_module_names
        and top(module) not in WORKER_MAY
        and top(module) not in OPTIONAL_INSIDE.get(str(path.relative_to(ROOT)), ())
    ]
    assert offending == []


def test_an_adapter_sees_the_contract_and_nothing_else_of_ours():
    offending = [
        where
        for path in files("adapters")
        for module, where in imports(path)
        if top(module) == "bench" and not module.startswith(FAKES_MAY if "fake" in path.parts else ADAPTERS_MAY)
    ]
    assert offending == []


def test_nobody_imports_the_command_line():
    offending = [
        where for path in files("bench", "adapters") for module, where in imports(path) if module == "bench.cli.main"
    ]
    assert offending == []


def test_scores_and_reports_do_not_import_the_runner():
    offending = [
        where
        for path in files(
            "bench/score", "bench/report", "bench/stats", "bench/store", "bench/metrics", "bench/datasets"
        )
        for module, where in imports(path)
        if module.startswith("bench.run") or module == "bench.cli.run"
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
