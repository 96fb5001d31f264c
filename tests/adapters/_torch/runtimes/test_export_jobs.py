"""Exports as jobs of a suite, in real workers: made once, found by what comes after, refused in one row."""

from __future__ import annotations

import hashlib

import pytest

from bench.errors import SuiteError
from bench.records.store.cache import exports_folder
from bench.records.store.runs import new_run
from tests.bench.suites import SHAPES, run_suite, write_suite

pytest.importorskip("onnxscript", reason="onnxscript is not installed; make install")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")

SMALL = {"name": "unet/transposed", "options": {"base_width": 2, "depth": 2}}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Workers inherit it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def carried_out(tmp_path, **target):
    """Export, predict and time a small U-Net in a run of its own."""
    made = write_suite(tmp_path, [SMALL], targets=[{"device": "cpu", "threads": 1, "runtime": "onnxruntime", **target}])
    results = tmp_path / "results"
    return run_suite(made, new_run(results, "suite"), results, kinds=("export", "predict", "time"))


@pytest.mark.slow
def test_an_export_is_made_once_and_found_by_what_comes_after(tmp_path):
    ran = carried_out(tmp_path, precision="int8", image_size=SHAPES["options"]["size"])
    assert [kind for kind, _ in ran.did] == ["export", "predict", "time"]
    made, predicted, timed = (outcome.facts for _, outcome in ran.listener.ends)
    assert made.export_s > 0
    assert made.exported_files == predicted.exported_files == timed.exported_files
    # One float export, and what int8 made of it, which is what runs.
    folders = list(exports_folder().iterdir())
    assert len(folders) == 2
    (int8,) = (folder for folder in folders if "-int8-" in folder.name)
    content = (int8 / "model.onnx").read_bytes()
    assert made.exported_files == {"model.onnx": hashlib.sha256(content).hexdigest()}
    assert made.exported_bytes == len(content)


def test_an_export_that_no_target_supports_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(SuiteError, match=r"no target of the suite can run it: .* memory layout"):
        carried_out(tmp_path, channels_last=True)
