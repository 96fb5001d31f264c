"""A run of an adapter that lies outside this tree is repeated from its record, which says where the adapter lay."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from bench.adapter import ADAPTERS_VARIABLE
from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from bench.records.names import harness_root
from bench.records.store.runs import newest_run
from tests.bench.suites import SHAPES, write_suite


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with the adapter `own`, of which one suite has been run; nothing names the folder any more."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "further adapters" / "own"
    (own / "models").mkdir(parents=True)
    (own / "requirements.txt").touch()
    (own / "adapter.py").write_text("from adapters.fake.adapter import Adapter as Adapter\n")
    config = harness_root() / "adapters" / "fake" / "models" / "perfect.yaml"
    (own / "models" / "exact.yaml").write_text(config.read_text(encoding="utf-8"))
    suite = write_suite(tmp_path, [{"name": "own/exact", "options": {"dataset": SHAPES["options"]}}])
    monkeypatch.setenv(ADAPTERS_VARIABLE, "")
    assert main(["run", str(suite), "--kind", "predict", "--adapters", "further adapters"]) == 0
    monkeypatch.setenv(ADAPTERS_VARIABLE, "")
    return own.parent


@pytest.mark.slow
def test_the_recorded_folder_is_searched_and_named(outside, tmp_path, monkeypatch, capsys):
    capsys.readouterr()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["repro", "--no-timing", "--results", str(tmp_path / "results")]) == 0
    captured = capsys.readouterr()
    assert "own/exact@shapes@cpu fp32 b1 t1: reproduced" in captured.out
    assert f"adapters: also searching {outside}" in captured.err
    monkeypatch.setenv(ADAPTERS_VARIABLE, "")
    repetition = newest_run(tmp_path / "results", "suite-repro")
    assert main(["repro", str(repetition.path), "--no-timing"]) == 0  # it keeps the folder in its turn


def test_a_folder_that_is_gone_is_named_with_what_to_type(outside, tmp_path, capsys):
    outside.rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["repro"]) == 2
    message = capsys.readouterr().err
    assert f"adapters that are not found here: own; it was started with --adapters {outside}" in message
    assert "--adapters DIR" in message
    assert main(["repro", "--no-timing", "--adapters", "moved"]) == 0


def test_nothing_further_is_searched_where_every_adapter_is_known(outside, monkeypatch, capsys):
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(outside))
    capsys.readouterr()
    assert main(["repro", "--dry-run"]) == 0
    assert "also searching" not in capsys.readouterr().err


def test_images_are_predicted_by_the_adapter_of_the_run(outside, tmp_path):
    shapes = open_dataset("shapes", SHAPES["options"])
    image_id = shapes.ids("test")[0]
    Image.fromarray(shapes.image(image_id)).save(tmp_path / "a.png")
    run = newest_run(tmp_path / "results")
    assert main(["predict", str(run.path), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert str(outside) in json.dumps(document["run"]["origin"])
