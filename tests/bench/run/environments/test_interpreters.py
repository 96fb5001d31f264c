"""Tests which Python runs an adapter, what it has, and what its environment holds before it starts."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest

from bench.adapter import adapter_folder
from bench.errors import BenchError
from bench.measure.devices import allowed_cores
from bench.records import Target
from bench.run.environments.interpreters import (
    Interpreters,
    adapter_code,
    alternatives,
    installed_packages,
    inventory,
    parse_choices,
    required_packages,
)
from bench.run.planning.prepare import pinned_cores
from bench.run.worker.environment import THREAD_VARIABLES, worker_environment
from tests.bench.builders import make_recipe


@pytest.fixture
def bare(tmp_path) -> Path:
    """Another interpreter: this one under another path, which sees no packages of ours."""
    folder = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def test_the_running_interpreter_is_asked_for_its_packages():
    assert Interpreters().python("fake") == Path(sys.executable)
    assert Interpreters().versions("fake")["numpy"] == np.__version__


def test_another_interpreter_is_asked_for_its_own_packages(bare):
    assert "numpy" not in installed_packages(bare)
    assert Interpreters({"fake": bare}).versions("fake") == {}
    assert "numpy" in Interpreters({"fake": bare}).versions("unet")


def test_a_file_that_is_no_interpreter_is_refused(tmp_path):
    file = tmp_path / "python"
    file.write_text("#!/bin/sh\nexit 1\n")
    file.chmod(0o755)
    with pytest.raises(BenchError, match="cannot be asked for its packages"):
        installed_packages(file)


def test_a_choice_of_interpreter_is_read():
    assert parse_choices([f"fake={sys.executable}"]).python("fake") == Path(sys.executable)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("fake", "expected ADAPTER=PATH"),
        ("fake=", "expected ADAPTER=PATH"),
        ("nobody=/usr/bin/python3", "one of the adapters .*fake"),
        ("fake=/nowhere/python", "there is no interpreter at /nowhere/python"),
    ],
)
def test_a_choice_that_cannot_be_followed_is_refused(choice, said):
    with pytest.raises(BenchError, match=said):
        parse_choices([choice])


def test_requirements_are_read_by_name_without_versions_and_comments(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "adapter.py").touch()
    (tmp_path / "other" / "requirements.txt").write_text(
        "# what it needs\nnumpy>=1.26  # arrays\n\nruamel.yaml==0.18 # or: Ruamel_Fork\n"
    )
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path))
    assert required_packages("other") == ("numpy", "ruamel.yaml")
    assert alternatives("other") == {"ruamel-yaml": "ruamel-fork"}
    assert required_packages("fake") == ()


def test_an_adapters_digest_changes_with_its_source_and_not_with_its_configs(tmp_path, monkeypatch):
    folder = tmp_path / "other"
    (folder / "models").mkdir(parents=True)
    (folder / "adapter.py").write_text("a = 1\n")
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path))
    before = adapter_code("other")
    (folder / "models" / "config.yaml").write_text("description: d\n")
    assert adapter_code("other") == before
    (folder / "adapter.py").write_text('"""Says more."""\na = 1  # one\n')
    assert adapter_code("other") == before
    (folder / "adapter.py").write_text("a = 2\n")
    assert adapter_code("other") != before


def test_an_adapter_from_outside_is_known_by_what_it_uses_of_torchs_shared_code_and_of_its_own_package(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "adapter.py").write_text("import shared_parts\n")
    assert not any(path.startswith("adapters/_torch/") for path in adapter_code("other"))
    (tmp_path / "shared_parts.py").write_text("from adapters._torch.semantic import SemanticAdapter\n")
    before = adapter_code("other")
    assert {"other/adapter.py", "outside:shared_parts.py", "adapters/_torch/semantic.py"} <= {*before}
    (tmp_path / "shared_parts.py").write_text("from adapters._torch.semantic import SemanticAdapter\nSCALE = 2\n")
    after = adapter_code("other")
    assert {path for path in before if before[path] != after[path]} == {"outside:shared_parts.py"}


def test_every_thread_pool_gets_the_number_the_target_asks_for():
    environment = worker_environment(Target(threads=3), None)
    assert {environment[name] for name in THREAD_VARIABLES} == {"3"}


def test_without_a_number_every_allowed_core_is_used():
    environment = worker_environment(Target(), None)
    assert {environment[name] for name in THREAD_VARIABLES} == {str(len(allowed_cores()))}


def test_a_training_gets_the_threads_of_its_recipe():
    assert worker_environment(Target(threads=1), make_recipe(threads=2))["OMP_NUM_THREADS"] == "2"


def test_a_worker_of_fewer_threads_is_pinned_to_the_last_cores(monkeypatch):
    monkeypatch.setattr("bench.run.planning.prepare.allowed_cores", lambda: (0, 2, 4, 6))
    assert [pinned_cores(threads) for threads in (1, 2, 4, 9, None)] == [(6,), (4, 6), None, None, None]


def test_the_fakes_lie_where_they_are_said_to():
    assert adapter_folder("fake").name == "fake"


def test_what_makes_a_runtime_has_versions_of_its_own(bare):
    onnx = {"onnxruntime", "openvino", "onnx", "onnxscript"}
    assert Interpreters().runtime_versions("unet", "eager") == {}
    installed = installed_packages(Path(sys.executable))
    for runtime in ("onnxruntime", "openvino"):
        found = Interpreters().runtime_versions("unet", runtime)
        assert found == {name: installed[name] for name in found}
        if runtime in installed:
            assert {runtime} <= found.keys() <= onnx
    assert "onnx" not in Interpreters({"unet": bare}).runtime_versions("unet", "openvino")


def test_an_interpreter_tells_of_each_package_what_importlib_does():
    expected = {}
    # A test before this one may have imported setuptools, which puts what it ships on the path of its process.
    path = [folder for folder in sys.path if not folder.endswith("_vendor")]
    for package in distributions(path=path):
        said = package.metadata
        fields = said["Name"], package.version, said.get("Summary", ""), said.get("License-Expression", "")
        expected.setdefault(said["Name"].lower(), fields)
    found = [
        (one["name"], one["version"], one["summary"], one["expression"])
        for one in inventory(Path(sys.executable)).packages
    ]
    assert sorted(found) == sorted(expected.values())
