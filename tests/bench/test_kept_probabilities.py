"""`keep: probabilities`: what a suite keeps, what is scored of it, what is refused, and what the report says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from bench.errors import BenchError
from bench.records import CaseScores, read_record
from bench.records.probabilities import QUANTISATION_ERROR
from bench.records.store import layout
from bench.records.store.runs import newest_run, read_run
from tests.bench.suites import SHAPES, perfect, write_suite

NOISY = {"name": "fake/noisy", "options": {"dataset": SHAPES["options"], "flipped": 0.3}}
METRICS = ["mean_iou", "ece", "adaptive_ece", "brier", "auprc", "threshold_dice", "selective_accuracy"]


def suite(folder, models, **changes):
    fields = {"metrics": METRICS, "measurement": "none", "keep": "probabilities", **changes}
    return write_suite(folder, models, **fields)


def run(path, results):
    return main(["run", str(path), "--results", str(results)])


def scores_of(results, label):
    view = next(v for v in read_run(newest_run(results, "suite"), results).cases if v.case.model.label == label)
    return view, {score.metric: score for score in view.scores.scores}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    assert run(suite(folder, [perfect(), NOISY]), folder / "results") == 0
    return folder / "results"


def test_a_model_that_knows_how_often_it_is_wrong_is_calibrated_and_a_perfect_one_has_no_error(ran):
    _, noisy = scores_of(ran, "fake/noisy")
    _, known = scores_of(ran, "fake/perfect")
    assert known["ece"].value == pytest.approx(0, abs=2 * QUANTISATION_ERROR)
    assert known["threshold_dice"].value == known["auprc"].value == 1.0
    # Right in 1 - 0.3 + 0.3 / 10 of the pixels, and says so; 4 images of 32 x 32 pixels.
    assert noisy["ece"].parts["mean confidence"] == pytest.approx(0.73, abs=2 * QUANTISATION_ERROR)
    assert noisy["ece"].value < 0.03
    assert noisy["brier"].value == pytest.approx(0.27 * 0.73**2 + 0.73 * 0.27**2 + 0.27 * 0.97**2, abs=0.05)


def test_probabilities_lie_beside_predictions_with_their_hashes_and_the_rounding_is_stated(ran):
    view, _ = scores_of(ran, "fake/noisy")
    folder = view.predict.folder
    index = json.loads((folder / layout.PROBABILITIES / "index.json").read_text())
    assert set(index) == set(json.loads((folder / layout.PREDICTIONS / "index.json").read_text()))
    assert view.predict.outcome.facts.quantisation_error == QUANTISATION_ERROR
    stored = sum(
        f.stat().st_size for name in (layout.PROBABILITIES, layout.VALIDATION) for f in (folder / name).glob("*.png")
    )
    assert view.predict.outcome.facts.kept_bytes == stored > 0


def test_thresholds_are_those_of_the_validation_split_and_stand_in_record_and_report(ran):
    view, noisy = scores_of(ran, "fake/noisy")
    score = noisy["threshold_dice"]
    assert set(score.taus) == {spec.name for spec in view.task.classes}
    assert "2 images of split val" in score.taus_from
    assert score.value <= score.parts["best on these images"]
    # The fake knows the images of the test split alone: on the others it says 0.03 of each class but the first, so that
    # calling every pixel is best for what is there, and nothing can be chosen for what is not.
    ground_truths = [
        open_dataset("shapes", SHAPES["options"]).target(f"shapes-val-0000{i}").semantic.labels for i in (0, 1)
    ]
    there = {
        spec.name for i, spec in enumerate(view.task.classes) if any((labels == i).any() for labels in ground_truths)
    }
    assert {"sky", "ground"} < there
    for name, tau in score.taus.items():
        assert tau == round((1 if name in there else 128) / 255, 4)
    report = (newest_run(ran, "suite").path / "report.md").read_text()
    assert "probabilities.png" in report
    assert "2 images of split val" in report
    assert "rounded by at most 0.0020" in report
    page = (newest_run(ran, "suite").path / "report.html").read_text()
    assert 'id="probabilities"' in page


@pytest.mark.slow
def test_a_case_on_corrupted_images_that_is_repeated_alone_has_the_thresholds_that_it_had(tmp_path):
    results = tmp_path / "results"
    corrupted = {"names": ["fog"], "severities": [1]}
    assert run(suite(tmp_path, [NOISY], metrics=["threshold_dice"], corruptions=corrupted), results) == 0
    before = read_run(newest_run(results, "suite"), results)
    assert main(["repro", str(before.folder.path), "--case", "*fog 1*", "--results", str(results)]) == 0
    again = read_run(newest_run(results, "suite-repro"), results)
    taus = [
        {v.case.id: v.scores.scores[0].taus for v in one.cases if v.case.shift is not None} for one in (before, again)
    ]
    assert len(taus[0]) == 1
    assert taus[0] == taus[1]
    assert set(next(iter(taus[0].values())).values()) != {round(128 / 255, 4)}


def test_changed_probabilities_are_not_scored(ran, tmp_path, capsys):
    import shutil

    results = tmp_path / "results"
    shutil.copytree(ran, results)
    view, _ = scores_of(results, "fake/noisy")
    index = view.predict.folder / layout.PROBABILITIES / "index.json"
    hashes = json.loads(index.read_text())
    stem = next(iter(hashes))
    other = sorted(hashes)[-1]
    (index.parent / f"{stem}.png").write_bytes((index.parent / f"{other}.png").read_bytes())
    assert main(["score", "--results", str(results)]) == 1
    assert "not those that were stored" in capsys.readouterr().err


def test_what_is_kept_is_part_of_the_key_of_predictions_and_of_nothing_else(tmp_path):
    from bench.run.environments.interpreters import Interpreters
    from bench.run.planning.prepare import prepare

    def keys(name, **changes):
        plan = prepare(write_suite(tmp_path, [NOISY], name, **changes), Interpreters()).cases[0]
        return plan.predict.key, [job.key for job in plan.times]

    plain, kept = keys("a"), keys("b", keep="probabilities")
    assert plain[0] != kept[0]
    assert plain[1] == kept[1]
    choosing = keys("c", keep="probabilities", metrics=["mean_iou", "threshold_iou"])
    assert choosing[0] != kept[0]


@pytest.mark.parametrize(
    ("models", "changes", "told"),
    [
        ([NOISY], {"keep": [], "metrics": ["mean_iou", "ece"]}, "ece is computed from probabilities"),
        (["fake/perfect_instances"], {"metrics": ["mean_iou"]}, "makes instance predictions"),
        (["detectron2/mask_rcnn"], {"metrics": ["mean_iou"]}, "makes instance predictions"),
    ],
)
def test_what_has_no_probabilities_is_refused_by_name_before_anything_runs(tmp_path, capsys, models, changes, told):
    path = suite(tmp_path, models, **changes)
    assert main(["check", str(path), "--results", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


def test_an_adapter_that_hands_over_none_is_unsupported_by_name(tmp_path):
    path = suite(tmp_path, ["fake/slow_5ms"], metrics=["mean_iou", "ece"])
    assert run(path, tmp_path / "results") == 0
    view = read_run(newest_run(tmp_path / "results", "suite")).cases[0]
    assert view.predict.outcome.status.value == "unsupported"
    assert "never sure of anything" in view.predict.outcome.reason


def test_the_room_that_is_needed_is_said_before_the_run(tmp_path, capsys):
    path = suite(tmp_path, [NOISY])
    assert main(["check", str(path), "--results", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert "keep: probabilities stores up to 1 MiB for each of 1 cases (4 images of test and 2 images of val" in told


def test_probability_maps_in_files_are_scored_as_those_of_a_model(tmp_path, capsys):
    dataset = open_dataset("shapes", SHAPES["options"])
    rng, maps = np.random.default_rng(0), tmp_path / "maps"
    maps.mkdir()
    squares, pixels = 0.0, 0
    for image_id in dataset.ids("test"):
        ground_truth = dataset.target(image_id).semantic.labels
        logits = rng.normal(size=(10, 32, 32)) + 2 * (ground_truth == np.arange(10)[:, None, None])
        p = np.exp(logits) / np.exp(logits).sum(axis=0)
        np.save(maps / f"{image_id}.npy", p.astype(np.float32))
        known = ground_truth != 255
        squares += ((p[:, known] - (ground_truth[known] == np.arange(10)[:, None])) ** 2).sum()
        pixels += known.sum()
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SHAPES["options"].items()]
    done = main(
        ["score", "--predictions", str(maps), "--dataset", "shapes", *settings, "--metric", "mean_iou",
         "--metric", "brier", "--metric", "threshold_iou", "--results", str(tmp_path / "results")]
    )  # fmt: skip
    assert done == 0
    (file,) = (tmp_path / "results").glob("*/*/scores/*.json")
    found = {score.metric: score for score in read_record(CaseScores, file).scores}
    assert found["brier"].value == pytest.approx(squares / pixels, abs=0.01)
    assert "no probabilities of a validation split" in found["threshold_iou"].taus_from
    assert set(found["threshold_iou"].taus.values()) == {round(128 / 255, 4)}


def test_label_maps_in_files_have_no_probabilities(tmp_path, capsys):
    from bench.records.predictions import SemanticMap, save_prediction

    dataset = open_dataset("shapes", SHAPES["options"])
    for image_id in dataset.ids("test"):
        save_prediction(SemanticMap(dataset.target(image_id).semantic.labels), tmp_path / "maps", image_id)
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SHAPES["options"].items()]
    done = main(
        ["score", "--predictions", str(tmp_path / "maps"), "--dataset", "shapes", *settings, "--metric", "ece",
         "--results", str(tmp_path / "results")]
    )  # fmt: skip
    assert done == 2
    assert "its files are label maps" in capsys.readouterr().err


def test_probabilities_in_memory_are_scored_as_those_of_a_suite(ran):
    import bench

    dataset = open_dataset("shapes", SHAPES["options"])
    rng = np.random.default_rng(1)
    arrays = {i: rng.dirichlet(np.ones(10), (32, 32)).transpose(2, 0, 1) for i in dataset.ids("test")}
    found = bench.score(arrays, "shapes", ["mean_iou", "brier", "ece"], options=SHAPES["options"])
    labels = {i: p.argmax(axis=0).astype(np.uint8) for i, p in arrays.items()}
    assert (
        found["mean_iou"].value
        == bench.score(labels, "shapes", ["mean_iou"], options=SHAPES["options"])["mean_iou"].value
    )
    ground_truths = {i: dataset.target(i).semantic.labels for i in arrays}
    squares = [
        ((p[:, t != 255] - (t[t != 255] == np.arange(10)[:, None])) ** 2).sum(axis=0)
        for p, t in ((arrays[i], ground_truths[i]) for i in arrays)
    ]
    assert found["brier"].value == pytest.approx(np.concatenate(squares).mean(), abs=0.005)
    with pytest.raises(BenchError, match="keep: probabilities"):
        bench.score(labels, "shapes", ["ece"], options=SHAPES["options"])
