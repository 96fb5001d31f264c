"""`corruptions:` in a suite: which cases it makes, what they share, what is refused, and what the report says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.cli.main import main
from bench.records.store.runs import newest_run, read_run
from bench.report.frames import load_run
from bench.report.summary.robustness import robustness
from bench.report.summary.summarise import summarise
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from tests.bench.suites import BRIEF, SHAPES, perfect, write_suite

NOISY = {"name": "fake/noisy", "options": {"dataset": SHAPES["options"], "flipped": 0.2}}
FOG = {"names": ["fog", "gaussian_noise"], "severities": [1, 5]}


def planned(folder, models=(NOISY,), **changes):
    return prepare(write_suite(folder, list(models), **changes), Interpreters()).cases


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """`perfect` knows the images by their content, so that it knows none that is changed; so does `noisy`."""
    folder = tmp_path_factory.mktemp("corrupted")
    other = {"name": "shapes", "label": "others", "options": {**SHAPES["options"], "seed": 5}}
    path = write_suite(
        folder, [perfect(), NOISY], measurement="none", corruptions={**FOG, "natural": [other]}, metrics=["mean_iou"]
    )
    assert main(["run", str(path), "--results", str(folder / "results")]) == 0
    return folder / "results"


def test_every_case_is_predicted_once_more_for_each_corruption_and_severity_and_nothing_is_timed_again(tmp_path):
    plans = planned(tmp_path, measurement=BRIEF, corruptions=FOG, profile={})
    assert [plan.case.id.split("@")[1] for plan in plans] == [
        "shapes",
        "shapes gaussian_noise 1",
        "shapes gaussian_noise 5",
        "shapes fog 1",
        "shapes fog 5",
    ]
    assert [len(plan.times) for plan in plans] == [1, 0, 0, 0, 0]
    assert all(plan.profile is None for plan in plans[1:])
    assert len({plan.predict.key for plan in plans}) == 5


def test_a_training_is_shared_with_the_images_as_they_are(tmp_path):
    recipe = {"budget": {"steps": 5}, "batch_size": 2, "learning_rate": 0.01}
    other = {"name": "shapes", "label": "others", "options": {**SHAPES["options"], "seed": 5}}
    plans = planned(tmp_path, ["fake/trains"], recipe=recipe, corruptions={**FOG, "natural": [other]})
    assert len({plan.train.key for plan in plans}) == 1
    assert {plan.train.dataset.label for plan in plans} == {"shapes"}
    assert all(plan.train.dataset.corruption is None for plan in plans)
    assert [plan.predict.dataset.label for plan in plans] == ["shapes"] * 5 + ["others"]
    assert plans[-1].predict.made_for.label == "shapes"


def test_a_suite_without_corruptions_plans_the_keys_that_it_had(tmp_path):
    clean, corrupted = planned(tmp_path), planned(tmp_path, corruptions=["fog"])
    assert clean[0].predict.key == corrupted[0].predict.key
    assert clean[0].times[0].key == corrupted[0].times[0].key


@pytest.mark.slow
def test_the_table_has_one_row_for_each_model_and_corruptions_stand_apart(ran):
    summary = summarise(read_run(newest_run(ran, "suite"), ran))
    assert [row.model for row in summary.rows] == ["fake/perfect", "fake/noisy"]
    assert {row.verdict.state for row in summary.rows} <= {"valid", "flagged"}
    known = {one.model: one for one in summary.robustness}
    best = known["fake/perfect"]
    assert best.clean == 1.0
    # A changed image is one that neither knows: class 0 everywhere.
    assert best.mean < 0.2
    assert best.drop == pytest.approx(1 - best.mean)
    assert best.kept == pytest.approx(best.mean)
    assert best.low <= best.mean <= best.high
    assert best.corruption_error == best.relative_error == 1.0
    assert best.worst in ("fog", "gaussian_noise")
    noisy = known["fake/noisy"]
    assert noisy.relative_error < 1 < noisy.corruption_error + 1e-9
    assert {(s.name, s.severity) for s in noisy.shifts} == {
        ("gaussian_noise", 1),
        ("gaussian_noise", 5),
        ("fog", 1),
        ("fog", 5),
        ("others", None),
    }


def test_no_corruption_is_the_worst_while_another_has_no_score(ran):
    run = read_run(newest_run(ran, "suite"), ran)
    lost = next(view.case.id for view in run.cases if view.case.shift is not None and view.case.shift.name == "fog")
    cases = tuple(replace(view, scores=None) if view.case.id == lost else view for view in run.cases)
    assert [one.worst is None for one in robustness(replace(run, cases=cases))] == [True, False]


def test_errors_are_those_of_the_published_formulas(ran):
    one, other = robustness(read_run(newest_run(ran, "suite"), ran))
    by_name = [{n: np.mean([1 - s.value for s in of]) for n, of in each.corruptions.items()} for each in (one, other)]
    expected = np.mean([by_name[1][name] / by_name[0][name] for name in by_name[0]])
    assert other.corruption_error == pytest.approx(expected)
    clean = 1 - other.clean
    relative = np.mean([(by_name[1][name] - clean) / by_name[0][name] for name in by_name[0]])
    assert other.relative_error == pytest.approx(relative)


def test_the_report_has_tables_a_picture_and_another_data_set(ran):
    folder = newest_run(ran, "suite").path
    text = (folder / "report.md").read_text()
    assert "## Robustness (mIoU)" in text
    assert "- Under corruption **fake/" in text
    assert "## By corruption, mean over severities" in text
    assert "## On other data sets" in text
    assert (folder / "robustness.png").is_file()
    assert 'id="robustness"' in (folder / "report.html").read_text()
    assert json.loads((folder / "results.json").read_text())["robustness"][0]["worst"] is not None


def test_the_curves_are_a_table_for_other_programs(ran):
    frame = load_run(results=ran).robustness
    of_noisy = frame[frame["model"] == "fake/noisy"]
    assert sorted(of_noisy["severity"].dropna()) == [0, 1, 1, 5, 5]
    assert set(of_noisy["family"]) == {"clean", "noise", "weather", "natural"}


def test_a_second_run_has_nothing_left_to_do(ran, capsys):
    suite = ran.parent / "suite.yaml"
    assert main(["run", str(suite), "--results", str(ran)]) == 0
    assert "0 jobs done" in capsys.readouterr().err


def test_the_audit_computes_the_scores_of_corrupted_images_again(ran, capsys):
    assert main(["audit", "--results", str(ran)]) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("corruptions", "told"),
    [
        (["fogg"], "Did you mean 'fog'?"),
        ({"severities": [0, 6]}, "corruptions.severities"),
        ({"names": ["fog"], "strength": 3}, "unknown key"),
        ({"natural": ["shape"]}, "no data set named 'shape'"),
        ({"names": ["fog"], "natural": [{"name": "shapes", "label": "shapes"}]}, "occurs more than once"),
    ],
)
def test_what_is_no_corruption_is_refused_before_anything_runs(tmp_path, capsys, corruptions, told):
    path = write_suite(tmp_path, [NOISY], corruptions=corruptions)
    assert main(["check", str(path), "--results", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


def test_another_data_set_with_other_classes_is_refused_with_both_sides(tmp_path, capsys):
    other = {
        "name": "shapes",
        "label": "few",
        "options": SHAPES["options"],
        "labels": {"drop": ["hexagon"], "rest": "keep"},
    }
    path = write_suite(tmp_path, [NOISY], corruptions={"names": ["fog"], "natural": [other]})
    assert main(["check", str(path), "--results", str(tmp_path)]) == 2
    assert "'shapes' alone has hexagon" in capsys.readouterr().err


def test_a_check_counts_shifted_predictions_instead_of_listing_them(tmp_path, capsys):
    path = write_suite(tmp_path, [NOISY], corruptions="all", measurement="none")
    assert main(["check", str(path), "--results", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "and 105 predict jobs on shifted images (105 missing)" in told.out
    assert "105 shifts of the scored images" in told.err


def test_corruptions_can_be_listed(capsys):
    assert main(["list", "corruptions"]) == 0
    assert "jpeg_compression" in capsys.readouterr().out
