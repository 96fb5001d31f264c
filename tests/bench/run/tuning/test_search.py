"""Searches of recipes: trials are ordinary jobs that see the validation split alone, and a killed search goes on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import newest_run, read_job, read_run
from bench.records.store.studies import read_studies
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.tuning.search import with_best
from tests.bench.run.processes import wait_for
from tests.bench.run.tuning.studies import MODEL, searched_suite, study_of, what_it_did
from tests.bench.suites import SHAPES

pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")


def run(suite: Path, results: Path, *flags: str) -> int:
    return main(["run", str(suite), "--results", str(results), *flags])


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Path:
    """Results of a whole search."""
    folder = tmp_path_factory.mktemp("searched")
    assert run(searched_suite(folder), folder / "results") == 0
    return folder / "results"


@pytest.mark.slow
def test_the_budget_of_trials_is_spent_and_each_is_counted_as_it_ended(searched):
    view = study_of(searched)
    assert len(view.trials) == 6
    assert view.study.ended == "all 6 trials are done"
    assert view.count("complete") + view.count("pruned") + view.count("failed") == 6
    assert view.count("pruned") >= 1
    for one in view.trials:
        rate = one.trial.values["learning_rate"]
        assert (one.state == "failed") == (rate > 0.5)


def test_a_trial_is_an_ordinary_job_with_its_recipe_scored_on_validation(searched):
    view = study_of(searched)
    for one in view.trials:
        recipe = one.trial.planned.case.recipe
        assert {"learning_rate": recipe.learning_rate, "loss": recipe.loss} == one.trial.values
        if one.state == "complete":
            # as many pixels are right as the fake's rule says, the others are drawn anew from ten classes
            good = 0.5 + 0.5 * math.exp(-((math.log10(recipe.learning_rate) + 2) ** 2)) * (
                1.0 if recipe.loss == "dice" else 0.9
            )
            assert one.validations == pytest.approx([good / 4, good / 2, 3 * good / 4, good])
            assert one.value < good


def test_the_best_recipe_is_trained_once_per_seed_and_scored_on_the_test_split(searched):
    view, finished = study_of(searched), read_run(newest_run(searched))
    best = max((one for one in view.trials if one.state == "complete"), key=lambda one: one.value)
    assert view.best == best
    assert [case.case.model.label for case in finished.cases] == [
        "fake/learns tuned seed 1",
        "fake/learns tuned seed 2",
    ]
    for case, seed in zip(finished.cases, (1, 2), strict=True):
        assert case.case.recipe.learning_rate == best.trial.values["learning_rate"]
        assert (case.case.recipe.loss, case.case.recipe.seed) == (best.trial.values["loss"], seed)
        assert case.case.dataset.test == "test"
        assert case.scores.scores[0].images == 4


def test_no_job_of_a_search_is_given_the_test_split(searched):
    jobs = [read_job(folder).job for folder in newest_run(searched).jobs.iterdir()]
    of_trials = [job for job in jobs if " trial " in job.case_id]
    assert len(of_trials) > 6
    assert {job.dataset.test for job in of_trials} == {"val"}


def test_a_pruned_training_ended_early_and_none_of_its_kind_is_a_failure(searched):
    finished = newest_run(searched)
    for one in study_of(searched).trials:
        if one.state == "pruned":
            [folder] = finished.jobs.glob(f"train-*-{one.trial.planned.train_key[:12]}")
            outcome = read_job(folder).outcome
            assert outcome.status is Status.PRUNED
            assert f"validation {len(one.validations)}" in outcome.reason
            assert not list((folder / layout.WEIGHTS).iterdir())


@pytest.mark.slow
def test_nothing_is_done_again_and_more_trials_go_on_from_those_that_are_there(searched, tmp_path, capsys):
    before = what_it_did(study_of(searched))
    folders = sorted(newest_run(searched).jobs.iterdir())
    assert run(searched_suite(tmp_path), searched) == 0
    assert sorted(newest_run(searched).jobs.iterdir()) == folders
    assert run(searched_suite(tmp_path, trials=7), searched) == 0
    after = what_it_did(study_of(searched))
    assert (after[:6], len(after)) == (before, 7)


def test_the_report_tells_of_the_search_in_every_form(searched):
    folder = newest_run(searched).path
    text, page = (folder / layout.REPORT).read_text(), (folder / layout.PAGE).read_text()
    view = study_of(searched)
    for said in (text, page):
        assert "Search of recipes" in said
        assert f"{view.count('complete')} complete, {view.count('pruned')} pruned" in said
        assert "Trials are scored on the validation split alone" in said
    assert len(list(folder.glob("search_history@*.png"))) == len(list(folder.glob("search_coordinates@*.png"))) == 1
    results = json.loads((folder / "results.json").read_text())
    assert len(results["searches"][0]["trials"]) == len(view.trials)


HIDING = '''
"""Scenes whose test split cannot be read while a file is not there."""

from pathlib import Path

from bench.datasets.shapes import LICENCE, OBTAIN, SOURCE, TASKS, Options as _Options, Shapes

class Options(_Options):
    flag: str = ""

def open_dataset(options):
    return Hiding(options)

class Hiding(Shapes):
    def _open(self, image_id):
        if "-test-" in image_id and not Path(self._options.flag).exists():
            raise RuntimeError("an image of the test split was read")
    def image(self, image_id):
        self._open(image_id)
        return super().image(image_id)
    def target(self, image_id):
        self._open(image_id)
        return super().target(image_id)
'''


@pytest.mark.slow
def test_a_search_ends_well_where_no_image_of_the_test_split_can_be_read(tmp_path, capsys, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "hiding.py").write_text(HIDING)
    flag = tmp_path / "now"
    hiding = {"name": "hiding", "options": {**SHAPES["options"], "flag": str(flag)}}
    model = {"name": "fake/trains"}
    suite = searched_suite(tmp_path, model=model, dataset=hiding, trials=2)
    monkeypatch.setenv("BENCH_DATASETS", "")
    flags = ["--datasets", str(tmp_path / "modules")]
    assert run(suite, tmp_path / "results", *flags) == 1  # the best recipe is trained, and cannot be tested
    view = study_of(tmp_path / "results")
    assert [one.state for one in view.trials] == ["complete", "complete"]
    assert "an image of the test split was read" in capsys.readouterr().err
    flag.touch()
    assert run(suite, tmp_path / "results", *flags) == 0
    assert what_it_did(study_of(tmp_path / "results")) == what_it_did(view)


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_comes_to_what_it_would_have_come_to(searched, tmp_path):
    slow = {"name": "fake/learns", "options": {**MODEL["options"], "infer_ms": 25.0}}
    suite, results = searched_suite(tmp_path, model=slow), tmp_path / "results"
    words = [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--results", str(results)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)

    def third_trial_trains() -> bool:
        return any(results.glob("*/*/jobs/train-*trial-3-*/training.jsonl"))

    try:
        wait_for(third_trial_trains)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    [begun] = read_studies(newest_run(results))
    assert 0 < len(begun.trials) < 6
    assert run(suite, results) == 0
    assert what_it_did(study_of(results)) == what_it_did(study_of(searched))[:6]


def test_a_search_all_of_whose_trials_fail_is_given_up_and_trains_nothing_else(tmp_path, capsys):
    diverging = {"name": "fake/learns", "options": {**MODEL["options"], "diverges_above": 1e-5}}
    results = tmp_path / "results"
    assert run(searched_suite(tmp_path, model=diverging), results) == 1
    view = study_of(results)
    assert (len(view.trials), view.count("failed"), view.best) == (3, 3, None)
    assert "each of its first 3 trials failed" in capsys.readouterr().err
    assert not list(newest_run(results).jobs.glob("*seed*"))


def test_what_the_test_split_holds_decides_nothing_of_a_search(tmp_path):
    more = {**SHAPES, "options": {**SHAPES["options"], "test": 9}}
    plans = [
        prepare(searched_suite(tmp_path, name=name, model={"name": "fake/trains"}, dataset=dataset), Interpreters())
        for name, dataset in (("few", SHAPES), ("many", more))
    ]
    trials = [plan.plan_case(plan.searches[0].case) for plan in plans]
    assert trials[0].train.key == trials[1].train.key
    assert trials[0].predict.key == trials[1].predict.key
    assert plans[0].cases[0].predict.key != plans[1].cases[0].predict.key


def test_before_the_search_is_over_there_is_no_recipe_to_train(tmp_path):
    prepared = prepare(searched_suite(tmp_path), Interpreters())
    assert with_best(prepared, None)[1] == {plan.case.id for plan in prepared.cases}


def test_check_tells_how_far_a_search_is(searched, tmp_path, capsys):
    suite = searched_suite(tmp_path, trials=12)
    assert main(["check", str(suite), "--results", str(searched)]) == 0
    said = capsys.readouterr().out
    [row] = [line for line in said.splitlines() if line.startswith("fake/learns on shapes ")]
    assert row.split()[3:5] == ["search", "unfinished"]
    assert "complete" in row
    assert said.count("after its search") == 4  # two seeds, each trained and predicted
