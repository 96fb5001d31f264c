"""`bench score --predictions`: files against a data set in one command."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from bench.run.process import WorkerStopper
from bench.run.worker.progress import write_progress
from bench.run.workers import FreshInterpreters

OPTIONS = {"preset": "easy", "size": [40, 56], "test": 4}
DATASET = ["--dataset", "shapes", *(word for k, v in OPTIONS.items() for word in ("--set", f"{k}={v}"))]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_maps(folder, spoil=lambda labels: labels):
    folder.mkdir()
    dataset = open_dataset("shapes", OPTIONS)
    for image_id in dataset.ids("test"):
        labels = dataset.target(image_id).semantic.labels
        cv2.imwrite(str(folder / f"{image_id}.png"), spoil(np.where(labels == 255, 0, labels)).astype(np.uint8))
    return dataset


def scores(results, metric="pixel_accuracy"):
    """Model -> score of the newest run."""
    run = sorted(results.glob("*/*/results.json"))[-1]
    rows = json.loads(run.read_text())["rows"]
    return {r["model"]: {c["score"]["metric"]: c["score"]["value"] for c in r["scores"]}[metric] for r in rows}


def test_two_folders_of_maps_are_scored_and_compared_and_can_be_run_again(tmp_path, capsys):
    dataset = write_maps(tmp_path / "good")
    write_maps(tmp_path / "bad", lambda labels: np.where(np.arange(56) < 28, labels, (labels + 1) % 10))
    assert main(["score", "--predictions", "good", "--predictions", "bad", *DATASET]) == 0
    assert "scored only" in capsys.readouterr().out
    pairs = [
        (dataset.target(i).semantic.labels, cv2.imread(f"bad/{i}.png", cv2.IMREAD_UNCHANGED))
        for i in dataset.ids("test")
    ]
    right = sum(int(((t == p) & (t != 255)).sum()) for t, p in pairs)
    known = sum(int((t != 255).sum()) for t, _ in pairs)
    assert scores(tmp_path / "results") == {"good": 1.0, "bad": pytest.approx(right / known)}
    suite = next((tmp_path / "results").glob("*.yaml"))
    assert yaml.safe_load(suite.read_text())["measurement"] == "none"
    assert main(["run", str(suite)]) == 0
    assert "2 were done already" in capsys.readouterr().err


def test_changed_predictions_are_scored_anew(tmp_path):
    dataset = write_maps(tmp_path / "maps")
    assert main(["score", "--predictions", "maps", *DATASET]) == 0
    first = dataset.ids("test")[0]
    cv2.imwrite(f"maps/{first}.png", np.full((40, 56), 9, np.uint8))
    assert main(["score", "--predictions", "maps", *DATASET]) == 0
    assert scores(tmp_path / "results")["maps"] < 1


def test_predictions_of_another_size_end_with_a_usage_error_that_counts_them(tmp_path, capsys):
    write_maps(tmp_path / "maps", lambda labels: labels[::2, ::2])
    assert main(["score", "--predictions", "maps", *DATASET]) == 2
    told = capsys.readouterr().out
    assert "4 of 4 predictions cannot be scored" in told
    assert "20 × 28 pixels, its image 40 × 56" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--predictions", "nowhere", *DATASET], "there are no predictions at"),
        (["--predictions", "maps"], "needs --dataset"),
        (["--predictions", "maps", "--dataset", "shaps"], "Did you mean 'shapes'?"),
        (["--predictions", "maps", *DATASET, "--split", "tests"], "Did you mean 'test'?"),
        (["--predictions", "maps", *DATASET, "--option", "patern=x.png"], "no option named 'patern'"),
        (["--predictions", "maps", *DATASET, "--option", "pattern=x.png"], "holds {id} once"),
        (
            ["--predictions", "maps", *DATASET, "--task", "panoptic"],
            "maps, which cannot be scored as panoptic",
        ),
    ],
)
def test_every_usage_error_is_one_paragraph_and_a_usage_error(tmp_path, capsys, words, said):
    write_maps(tmp_path / "maps")
    assert main(["score", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_model_of_files_cannot_be_run(capsys):
    assert main(["predict", "predictions/files", ".", "--out", "there"]) == 2
    assert "its predictions are files" in capsys.readouterr().err


def test_files_are_read_without_a_process_of_their_own(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr("bench.run.workers.run_worker", refused)
    write_maps(tmp_path / "maps")
    assert main(["score", "--predictions", "maps", *DATASET]) == 0


def test_reading_files_stops_at_the_next_image_when_the_run_is_stopped(tmp_path, monkeypatch):
    write_maps(tmp_path / "maps")
    monkeypatch.setattr("bench.run.process.do_here", lambda folder: write_progress(folder, 1, 4))
    stopper = WorkerStopper()
    stopper.pull()
    job = SimpleNamespace(model=SimpleNamespace(adapter="predictions"))
    with pytest.raises(KeyboardInterrupt):
        FreshInterpreters(stopper).run(job, tmp_path, folder=tmp_path, log=tmp_path, timeout_s=1, tell=print)
    write_progress(tmp_path, 1, 4)  # later jobs go on
