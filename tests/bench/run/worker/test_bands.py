"""Models that take RGB images alone are given the bands that a data set declares as such, and their record says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.cli.main import main
from tests.bench.suites import BRIEF

tifffile = pytest.importorskip("tifffile")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "masks"):
        (tmp_path / "d" / kind / "test").mkdir(parents=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 30, 4), dtype=np.uint8)
        options = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(tmp_path / "d" / "images" / "test" / f"t{number}.tif", pixels, **options)
        Image.fromarray((pixels[..., 3] > 128).astype(np.uint8)).save(tmp_path / f"d/masks/test/t{number}.png")
    return tmp_path / "d"


def run(root, **options):
    """Facts and outcome of the prediction of a model that takes RGB alone."""
    document = {
        "task": "semantic",
        "models": ["fake/perfect"],
        "datasets": [{"name": "folder", "options": {"root": str(root), "bands": [1, 2, 3, 4], **options}}],
        "targets": [{"device": "cpu", "threads": 1}],
        "metrics": ["mean_iou"],
        "measurement": BRIEF,
    }
    (root.parent / "suite.yaml").write_text(yaml.safe_dump(document))
    main(["run", str(root.parent / "suite.yaml")])
    (outcome,) = [
        json.loads(file.read_text())
        for file in root.parent.glob("results/**/outcome.json")
        if json.loads((file.parent / "job.json").read_text())["kind"] == "predict"
    ]
    return outcome


def test_the_bands_that_are_rgb_are_given_and_told(root):
    outcome = run(root, rgb=[3, 2, 1])
    assert outcome["status"] == "ok"
    assert "images: bands 3, 2, 1 alone, as RGB; of the 4 the model takes no others" in outcome["facts"]["notes"]


def test_without_such_bands_the_model_is_refused_with_the_option(root):
    outcome = run(root)
    assert outcome["status"] == "unsupported"
    assert "rgb: [3, 2, 1]" in json.dumps(outcome)
