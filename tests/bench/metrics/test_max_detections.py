"""Tests how many detections of an image count: settable, in the metric's name, and told where some are left out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.cli.main import main
from bench.errors import PluginError, SuiteError
from bench.metric import load_metric, metric_names
from bench.records import Score
from bench.suite.expand import expand
from bench.suite.load import load_suite
from tests.bench.metrics import coco_oracle
from tests.bench.metrics.test_mask_ap import THINGS, instances, random_pair, scored

CAPPED = ("boundary_ap", "lvis_ap", "mask_ap")


def grid(count, size=(200, 200), pitch=15):
    """So many squares of 9 pixels that do not touch."""
    masks = np.zeros((count, *size), bool)
    for number in range(count):
        row, column = divmod(number, size[1] // pitch)
        masks[number, pitch * row : pitch * row + 9, pitch * column : pitch * column + 9] = True
    return masks


def found_perfectly(count):
    masks = grid(count)
    return instances(masks, [1] * count), instances(masks, [1] * count, np.linspace(0.99, 0.5, count))


@pytest.mark.parametrize("most", [1, 3, 10, 150])
@pytest.mark.parametrize("seed", range(6))
def test_every_figure_equals_pycocotools_with_as_many_detections(seed, most):
    random = np.random.default_rng(seed)
    pairs = [random_pair(random, size=(60, 80), ties=bool(seed % 2)) for _ in range(4)]
    pairs += [found_perfectly(120)] if most == 150 else []
    score = scored(pairs, load_metric(f"mask_ap_{most}"))
    expected = coco_oracle.capped_figures(coco_oracle.evaluate(pairs, THINGS, most=most))
    found = {"AP": score.value, **score.parts}
    assert found == {name: None if v is None else pytest.approx(v, abs=1e-12) for name, v in expected.items()}


def test_a_perfect_detector_of_169_objects_is_short_of_1_and_told_why():
    pair = found_perfectly(169)
    score = scored([pair, found_perfectly(5)])
    # 105 of 174 objects are found at the most, without an error: 61 of 101 points of recall lie below 105 / 174.
    assert score.value == pytest.approx(61 / 101, abs=1e-12)
    (flag,) = score.flags
    assert flag.name == "max_detections"
    assert (
        "1 of 2 images hold more objects of a class (up to 169), so that at most 60.3% of all can be found" in flag.seen
    )
    assert "69 detections in 1 of 2 images are left out" in flag.seen
    assert "{name: mask_ap, max_detections: 169}" in flag.advice
    whole = scored([pair, found_perfectly(5)], load_metric("mask_ap_169"))
    assert (whole.value, whole.metric, whole.flags) == (1.0, "mask_ap_169", ())
    assert "169 detections per image and class" in whole.definition


def test_detections_that_are_cut_are_told_though_the_ground_truth_is_below_the_cap():
    target, predicted = found_perfectly(120)
    few = instances(target.masks[:7], [1] * 7)
    (flag,) = scored([(few, predicted)]).flags
    assert "hold more" not in flag.seen
    assert "20 detections in 1 of 1 images are left out" in flag.seen


def test_nothing_is_told_where_every_object_and_every_detection_counts():
    target, predicted = found_perfectly(100)
    crowds = instances(np.concatenate([target.masks, grid(5)]), [1] * 105, crowd=[False] * 100 + [True] * 5)
    assert scored([(crowds, predicted)]).flags == ()


def test_objects_of_all_classes_share_the_cap_of_lvis():
    target, predicted = found_perfectly(120)
    target.class_ids[60:] = predicted.class_ids[60:] = 2
    capped = load_metric("lvis_ap_100")
    (flag,) = scored([(target, predicted)], capped).flags
    assert "lvis_ap counts the 100 surest detections of an image:" in flag.seen
    assert "1 of 1 images hold more objects (up to 120)" in flag.seen
    assert scored([(target, predicted)]).flags == ()  # 60 of a class


@pytest.mark.parametrize("name", CAPPED)
def test_the_number_stands_in_name_label_definition_and_statistic(name):
    usual, capped = load_metric(name), load_metric(f"{name}_7")
    assert (capped.name, capped.label) == (f"{name}_7", f"{usual.label} @7")
    assert "7 detections per image" in capped.definition
    assert capped.statistic != usual.statistic
    assert capped.version == usual.version


def test_metrics_that_count_no_detections_take_none():
    for name in set(metric_names()) - set(CAPPED):
        with pytest.raises(
            PluginError, match=f"metric '{name}' counts no detections.*boundary_ap, lvis_ap, mask_ap do"
        ):
            load_metric(f"{name}_300")
    with pytest.raises(PluginError, match=r"no metric named 'mask_app_300'"):
        load_metric("mask_app_300")


def suite_of(folder, metrics):
    path = folder / "suite.yaml"
    path.write_text(
        "task: instance\nmodels: [{name: fake/perfect_instances, options: {dataset: {preset: easy}}}]\n"
        f"datasets: [{{name: shapes, options: {{preset: easy}}}}]\nmetrics: {json.dumps(metrics)}\n"
    )
    return path


def test_a_suite_sets_it_beside_the_name_of_the_metric(tmp_path):
    suite = load_suite(suite_of(tmp_path, [{"name": "mask_ap", "max_detections": 300}, "mask_ap", "boundary_ap_50"]))
    assert suite.metrics == ("mask_ap_300", "mask_ap", "boundary_ap_50")


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ({"name": "mask_ap", "max_detections": 0}, "whole number of at least 1"),
        ({"name": "mask_ap", "max_detection": 9}, "max_detections: 300"),
        ({"name": "mean_iou", "max_detections": 9}, "metric 'mean_iou' counts no detections"),
        ({"name": "mask_app", "max_detections": 9}, "did you mean 'mask_ap'"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_the_way_to_write_it(tmp_path, metric, told):
    path = suite_of(tmp_path, [metric])
    with pytest.raises(SuiteError, match=f"(?i){told}"):
        expand(load_suite(path), auto_device="cpu", source=path)


def test_scores_come_back_with_their_flags_and_those_of_older_files_have_none(tmp_path):
    score = scored([found_perfectly(101)])
    assert Score.model_validate_json(score.model_dump_json()) == score
    old = {key: value for key, value in json.loads(score.model_dump_json()).items() if key != "flags"}
    assert Score.model_validate_json(json.dumps(old)).flags == ()


def test_what_the_cap_leaves_out_flags_the_row_and_stands_in_the_report(tmp_path, capsys):
    options = "{preset: standard, size: [64, 64], test: 6}"
    suite = tmp_path / "s.yaml"
    suite.write_text(
        f"task: instance\nmodels: [{{name: fake/perfect_instances, options: {{dataset: {options}}}}}]\n"
        f"datasets: [{{name: shapes, options: {options}}}]\nmeasurement: none\n"
        "metrics: [{name: mask_ap, max_detections: 1}, mask_ap]\n"
    )
    assert main(["run", str(suite), "--results", str(tmp_path / "results")]) == 0
    assert "[max_detections]" in " ".join(capsys.readouterr().out.split())
    (run,) = (tmp_path / "results" / "s").iterdir()
    report = (run / "report.md").read_text()
    assert "mask_ap counts the 1 surest detections of an image and class" in report
    assert "mask AP @1" in report
