"""Tests what the doctor finds, and that everything missing comes with what fixes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.run.doctor import checks as doctor
from bench.run.doctor.checks import examine
from bench.run.environments.interpreters import Interpreters
from tests.bench.measure.scripted_nvml import Card, ScriptedNvml, install


@pytest.fixture
def needy(tmp_path, monkeypatch):
    """An adapter that needs a package nobody has, and one that is spelled another way than its metadata."""
    folder = tmp_path / "adapters" / "needy"
    folder.mkdir(parents=True)
    (folder / "adapter.py").touch()
    (folder / "requirements.txt").write_text("NumPy\nopencv_python.headless\na-package-nobody-has\n")
    monkeypatch.setenv("BENCH_ADAPTERS", str(folder.parent))
    return folder


def gpu(monkeypatch, **driver) -> None:
    """A driver with one GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(monkeypatch, ScriptedNvml(Card("a GPU", "GPU-a"), **driver))


def findings(results: Path, interpreters: Interpreters | None = None) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in examine(interpreters or Interpreters(), results)}


def test_a_missing_package_comes_with_the_command_that_installs_it(tmp_path, needy):
    found = findings(tmp_path)["adapter needy"]
    assert (found.state, found.detail) == ("missing", "without a-package-nobody-has")
    assert found.fix.startswith(f"{sys.executable} -m pip install")
    assert Path(found.fix.split()[-1]).resolve() == needy / "requirements.txt"


def test_an_adapter_that_needs_nothing_is_ready(tmp_path):
    found = findings(tmp_path)["adapter fake"]
    assert (found.state, found.detail, found.fix) == ("ready", "needs nothing", "")


def test_an_interpreter_that_cannot_be_asked_is_a_finding_and_no_crash(tmp_path, needy):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = findings(tmp_path, Interpreters({"needy": broken}))["adapter needy"]
    assert found.state == "missing"
    assert "--python" in found.fix


def test_an_interpreter_that_cannot_be_asked_is_no_crash_beside_a_gpu(tmp_path, monkeypatch, needy):
    gpu(monkeypatch)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert findings(tmp_path, Interpreters({"fake": broken}))["cuda"].detail.startswith("a GPU")


def test_a_cpu_build_of_torch_beside_a_gpu_is_missing_with_the_command(tmp_path, monkeypatch):
    gpu(monkeypatch)
    monkeypatch.setattr(doctor, "installed_packages", lambda _: {"torch": "2.4.0+cpu"})
    found = findings(tmp_path)["cuda"]
    assert (found.state, found.fix) == ("missing", "reinstall with: make clean install TORCH_BACKEND=auto")


def test_no_gpu_is_a_note_and_nothing_to_fix(tmp_path, monkeypatch):
    install(monkeypatch, ScriptedNvml())
    found = findings(tmp_path)["cuda"]
    assert (found.state, found.fix) == ("note", "")


def test_a_driver_too_old_for_torch_is_missing_and_auto_is_said_to_be_the_processor(tmp_path, monkeypatch):
    gpu(monkeypatch, cuda=12040, version="550.54")
    monkeypatch.setattr(doctor, "torch_cuda", lambda site=None: (13, 2))
    monkeypatch.setattr("bench.measure.devices.torch_cuda", lambda: (13, 2))
    found = findings(tmp_path)["cuda"]
    assert found.state == "missing"
    assert "which needs driver 580 or newer; driver 550.54 serves CUDA 12.4; device auto means cpu" in found.detail
    assert "make clean install" in found.fix


def test_gpus_that_a_variable_hides_are_a_note_with_the_variable(tmp_path, monkeypatch):
    gpu(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = findings(tmp_path)["cuda"]
    assert (found.state, found.fix) == ("note", "unset CUDA_VISIBLE_DEVICES")
    assert "CUDA_VISIBLE_DEVICES='-1' shows none of them" in found.detail


def test_a_lost_gpu_is_missing_and_no_crash(tmp_path, monkeypatch):
    install(monkeypatch, ScriptedNvml(Card("a GPU", "GPU-a", lost=True)))
    found = findings(tmp_path)["cuda"]
    assert (found.state, found.detail) == ("missing", "GPU 0 does not answer: GPU is lost")


def test_a_full_disk_is_found_where_the_results_will_lie(tmp_path, monkeypatch):
    class Usage:
        free = 1024**3

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage)
    found = findings(tmp_path / "not" / "there" / "yet")["disk"]
    assert (found.state, found.detail) == ("missing", f"1.0 GiB free at {tmp_path}")


@pytest.mark.parametrize(("load", "state"), [(0.1, "ready"), (50.0, "note")])
def test_a_busy_machine_is_noted(tmp_path, monkeypatch, load, state):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (load, load, load))
    assert findings(tmp_path)["load"].state == state


def test_every_data_set_is_looked_at(tmp_path):
    found = findings(tmp_path)["data set shapes"]
    assert (found.state, found.detail) == ("ready", "480 train, 64 val, 200 test images, 10 classes")


def test_everything_that_is_missing_says_how_to_fix_it(tmp_path, needy):
    assert all(finding.fix for finding in findings(tmp_path).values() if finding.state == "missing")


@pytest.mark.parametrize(("floor_ns", "state"), [(1_230.0, "ready"), (50_000.0, "note")])
def test_the_harness_tells_its_own_floor(tmp_path, monkeypatch, floor_ns, state):
    monkeypatch.setattr(doctor, "stage_floor_ns", lambda: floor_ns)
    found = findings(tmp_path)["harness"]
    assert (found.state, found.detail) == (state, f"a model that does nothing takes {floor_ns / 1e3:.2f} µs per stage")


def test_a_strict_doctor_forgives_missing_data_sets_only():
    ready, note = doctor.Finding("disk", "ready", ""), doctor.Finding("load", "note", "busy")
    data = doctor.Finding("data set cityscapes", "missing", "not here", "fetch it")
    assert doctor.is_fit([ready, note, data])
    assert not doctor.is_fit([ready, doctor.Finding("adapter unet", "missing", "without torch", "pip install torch")])


def test_a_package_from_upstream_serves_where_a_redistribution_is_named(tmp_path, monkeypatch, needy):
    (needy / "requirements.txt").write_text("sal-detectron2 # or: detectron2\n")
    monkeypatch.setattr(doctor, "installed_packages", lambda _: {"detectron2": "0.6"})
    found = findings(tmp_path)["adapter needy"]
    assert (found.state, found.detail) == ("ready", "sal-detectron2 0.6")
