"""`bench predict` with a case of a suite names the classes that the suite scores."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from tests.bench.suites import SHAPES, perfect, write_suite

LABELS = {"merge": {"object": ["disc", "square", "triangle", "ring"]}, "rest": "background"}


@pytest.fixture(scope="module")
def shapes():
    return open_dataset("shapes", SHAPES["options"])


@pytest.fixture
def photo(tmp_path, shapes):
    """The first image of the scored split."""
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), shapes.image(shapes.ids("test")[0])[..., ::-1])
    return path


def predicted(tmp_path, photo, suite):
    """Run the predict job of a suite with one case, then predict the photo with it."""
    results, out = tmp_path / "results", tmp_path / "out"
    assert main(["run", str(suite), "--results", str(results), "--kind", "predict"]) == 0
    run = next(path.name for path in (results / "suite").iterdir())
    words = ["--results", results, run, photo, "--out", out]
    assert main(["predict", *map(str, words)]) == 0
    return out


def test_a_model_of_other_classes_is_mapped_by_their_names(tmp_path, photo, shapes, capsys):
    own = [spec.name for spec in shapes.classes]  # what the model tells apart; the suite merges most of them
    suite = write_suite(
        tmp_path, [perfect(trained_on=own)], datasets=[{**SHAPES, "labels": LABELS}], metrics=["mean_iou"]
    )
    out = predicted(tmp_path, photo, suite)
    ground_truth = shapes.target(shapes.ids("test")[0]).semantic.labels
    objects = np.isin(ground_truth, [own.index(name) for name in LABELS["merge"]["object"]])
    written = np.array(Image.open(out / "photo.png"))
    assert objects.any()
    assert np.array_equal(written, np.where(ground_truth == 255, 255, objects))
    document = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert [spec["name"] for spec in document["made_by"]["classes"]] == ["background", "object"]
    assert document["images"][0]["found"]["pixels"] == {
        "background": int((~objects & (ground_truth != 255)).sum()),
        "object": int(objects.sum()),
    }


def test_without_the_names_of_the_data_set_nothing_is_mapped(tmp_path, photo, capsys):
    folder = tmp_path / "mine"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.zeros((32, 32, 3), np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), np.full((32, 32), number % 2, np.uint8))
    (folder / "classes.yaml").write_text("[background, cell]", encoding="utf-8")
    model = {"name": "fake/slow_5ms", "trained_on": ["background", "cell", "dust"], "unmapped": "ignore"}
    datasets = [
        {"name": "folder", "options": {"root": str(folder), "fractions": {"train": 0.5, "val": 0.25, "test": 0.25}}}
    ]
    out = predicted(tmp_path, photo, write_suite(tmp_path, [model], datasets=datasets, metrics=["mean_iou"]))
    assert set(np.unique(np.array(Image.open(out / "photo.png")))) == {0}

    folder.rename(tmp_path / "gone")
    capsys.readouterr()
    words = ["--results", tmp_path / "results", "--case", "fake/slow_5ms", photo, "--out", tmp_path / "out2"]
    assert main(["predict", *map(str, words)]) == 2
    error = capsys.readouterr().err
    assert "its model was trained on other classes, which are mapped to those of data set 'folder' by name" in error
    assert f"nothing at {folder}" in error
