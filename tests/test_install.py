"""Tests what `make install` would install: every promised Python and every line of torch can be resolved."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def constraints(tmp_path: Path, *variables: str, driver: str | None = None) -> str:
    """The constraints that make writes, with a driver that shows this version of CUDA."""
    path = os.environ["PATH"]
    if driver is not None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\necho '| NVIDIA-SMI 570.1    Driver Version: 570.1    {driver} |'\n")
        tool.chmod(0o755)
        path = f"{tool.parent}{os.pathsep}{path}"
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to("/bin/true")
    make = ["make", "-s", f"VENV={venv}", f"{venv}/constraints.txt", *variables]
    subprocess.run(make, cwd=ROOT, check=True, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL)
    return (venv / "constraints.txt").read_text()


def pin(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}==([0-9.]+)", text, re.MULTILINE)


@pytest.mark.parametrize("driver", ["CUDA Version: 12.4", "CUDA UMD Version: 12.8"])
def test_a_driver_of_cuda_12_gets_the_torch_that_it_serves(tmp_path, driver):
    found = constraints(tmp_path, driver=driver)
    assert pin(found, "torch") == ["2.10.0"]
    assert pin(found, "nvidia-cuda-runtime") == []
    assert pin(found, "nvidia-cuda-runtime-cu12") == ["12.8.90"]
    assert pin(found, "nvidia-ml-py") != []


@pytest.mark.parametrize("driver", [None, "CUDA Version: 13.0"])
def test_other_drivers_and_none_get_the_newest(tmp_path, driver):
    assert constraints(tmp_path, driver=driver) == (ROOT / "constraints.txt").read_text()


def test_another_build_of_torch_is_not_held_to_the_libraries_of_this_one(tmp_path):
    found = constraints(tmp_path, "TORCH_BACKEND=cu130", driver="CUDA Version: 13.0")
    assert pin(found, "torch") == pin((ROOT / "constraints.txt").read_text(), "torch")
    assert (pin(found, "cuda-toolkit"), pin(found, "nvidia-cublas"), pin(found, "triton")) == ([], [], [])
    assert pin(found, "nvidia-ml-py") != []


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("line", ["cuda12", "cuda13"])
def test_every_python_can_install_every_line_of_torch(tmp_path, python, line):
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv here")
    (tmp_path / "constraints.txt").write_text(constraints(tmp_path, f"TORCH_LINE={line}"))
    resolve = ["pip", "compile", "-q", "pyproject.toml", "--all-extras", "--python-version", python]
    options = ["--python-platform", "linux", "--no-header", "-c", str(tmp_path / "constraints.txt")]
    done = subprocess.run([uv, *resolve, *options], cwd=ROOT, capture_output=True, text=True)
    if re.search(r"dns|connect|timed out", done.stderr, re.IGNORECASE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    cuda = "nvidia-cuda-runtime-cu12" if line == "cuda12" else "nvidia-cuda-runtime"
    assert pin(done.stdout, cuda) != []
