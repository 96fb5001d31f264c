"""Tests what scripts import: `bench.load_run`, `bench.load_model`, `bench.score`, and the examples of the docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.cli.main import main
from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError, ShapeError
from bench.records import DatasetSpec
from bench.records.predictions import SemanticMap
from bench.records.store.runs import newest_run
from tests.bench.suites import SHAPES, perfect, write_suite

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
OPTIONS = {"preset": "easy", "size": [32, 32], "test": 6}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Folder of a run of two fakes on four images."""
    folder = tmp_path_factory.mktemp("api")
    noisy = {"name": "fake/noisy", "label": "noisy", "options": {"dataset": SHAPES["options"]}}
    suite = write_suite(folder, [perfect(label="perfect"), noisy])
    assert main(["run", str(suite), "--results", str(folder / "results")]) == 0
    return newest_run(folder / "results").path


@pytest.fixture(scope="module")
def shapes():
    return open_labelled(DatasetSpec(name="shapes", label="shapes", options=OPTIONS))


def ground_truth_of(shapes) -> dict[str, np.ndarray]:
    return {image_id: np.array(shapes.target(image_id).semantic.labels) for image_id in shapes.ids("test")}


def test_importing_bench_loads_none_of_what_its_functions_need():
    code = "import sys, bench; print({'numpy', 'pandas', 'pydantic', 'cv2'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said.strip() == "set()"


def test_a_run_is_tables_with_a_row_for_each_case_class_image_and_sample(done):
    run = bench.load_run(done)
    assert list(run.cases["model"]) == ["perfect", "noisy"]
    assert run.cases["mean_iou"][0] == 1.0
    assert "mean_iou" in set(run.per_class["metric"])
    assert len(run.per_image) == 2 * 4
    perfect = run.per_image[run.per_image["model"] == "perfect"]
    assert (perfect["mean_iou"] == 1).all()
    assert (perfect["latency_ms"] > 0).all()
    assert set(run.samples["clock"]) == {"end_to_end", "staged"}
    row = run.cases.iloc[0]
    timed = run.samples.query("model == 'perfect' and clock == 'end_to_end'")
    pooled = timed[timed["accepted"]]["total_ms"]
    assert row["samples"] == len(pooled) or not timed["accepted"].any()
    for name in ("cases", "scores", "per_class", "per_image", "samples", "training", "slices"):
        assert list(run.table(name).columns[:4]) == ["case", "model", "dataset", "target"]
    with pytest.raises(BenchError, match="no table 'samplez'"):
        run.table("samplez")


def test_a_model_of_a_finished_case_predicts_arrays_and_files_in_this_process(done, shapes, tmp_path):
    import cv2

    model = bench.load_model("noisy", run=done)
    assert (model.name, model.task) == ("noisy", "semantic")
    assert [spec.name for spec in model.classes] == [spec.name for spec in shapes.classes]
    image = shapes.image(shapes.ids("test")[0])
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    array, file = model.predict([image, tmp_path / "a.png"])
    assert isinstance(array, SemanticMap)
    assert array.size == image.shape[:2]
    assert np.array_equal(array.labels, file.labels)
    assert len(model.predict(image)) == 1
    with pytest.raises(BenchError, match="expected uint8 of shape"):
        model.predict([image.astype(float)])


def test_a_model_that_is_not_there_is_refused_with_the_nearest_name(done):
    with pytest.raises(BenchError, match="Did you mean 'noisy'"):
        bench.load_model("nosy", run=done)


def test_predictions_in_memory_score_as_those_of_a_run_do(done, shapes):
    run = bench.load_run(done)
    case = run.run.cases[1]
    stored = {one.metric: one for one in case.scores.scores}
    model = bench.load_model("noisy", run=done)
    dataset = open_labelled(case.case.dataset)
    predictions = {image_id: model.predict(dataset.image(image_id))[0] for image_id in dataset.ids("test")}
    found = bench.score(predictions, dataset, ["mean_iou", "pixel_accuracy"])
    assert found == stored


def test_the_ground_truth_scores_1_and_its_void_is_no_class(shapes):
    found = bench.score(ground_truth_of(shapes), "shapes", ["mean_iou"], options=OPTIONS)
    assert found["mean_iou"].value == 1.0


def test_predictions_that_do_not_fit_are_refused_by_name(shapes):
    ground_truth = ground_truth_of(shapes)
    first, *others = ground_truth
    with pytest.raises(BenchError, match=f"1 of 6 images of split 'test' have no prediction, for example '{first}'"):
        bench.score({name: ground_truth[name] for name in others}, shapes)
    with pytest.raises(BenchError, match="are of no image of split"):
        bench.score({**ground_truth, "extra": ground_truth[first]}, shapes)
    with pytest.raises(BenchError, match="no split 'tset'"):
        bench.score(ground_truth, shapes, split="tset")
    with pytest.raises(ShapeError, match="class id 99; valid ids are"):
        bench.score({**ground_truth, first: np.full_like(ground_truth[first], 99)}, shapes)
    with pytest.raises(ShapeError, match=r"has shape \(H, W\)"):
        bench.score({**ground_truth, first: ground_truth[first].astype(float)}, shapes)
    with pytest.raises(ShapeError, match=first):
        bench.score({**ground_truth, first: ground_truth[first][1:]}, shapes)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_of_the_documentation_runs(name, done):
    case = bench.load_run(done).run.cases[1].case.id
    words = {"score_my_arrays.py": [], "tables_of_a_run.py": [str(done)], "predict_and_score.py": [str(done), case]}
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words[name]],
        capture_output=True,
        text=True,
        cwd=done,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    assert "0." in ended.stdout
