"""Tests what a suite may say of a search, and all its usage errors are told at once, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.errors import SuiteError
from bench.records import Recipe
from bench.run.planning.check import checked
from bench.suite.expand import expand
from bench.suite.load import load_suite
from bench.suite.tuning import final_cases, searches_of, trial_case, with_values

pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")

TUNE = {"space": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}, "trials": 3}


def written(folder: Path, **changes) -> Path:
    document = {
        "models": ["fake/trains"],
        "datasets": [{"name": "shapes", "options": {"size": [32, 32], "train": 4, "val": 2, "test": 2}}],
        "recipe": {"budget": {"steps": 3}},
        "seeds": [1, 2],
        "tune": TUNE,
        **changes,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def expanded(folder: Path, **changes):
    path = written(folder, **changes)
    suite = load_suite(path)
    cases = expand(suite, auto_device="cpu", source=path)
    return cases, searches_of(suite, cases)


def usage_errors(folder: Path, **changes) -> str:
    path = written(folder, **changes)
    with pytest.raises(SuiteError) as error:
        checked(load_suite(path), path)
    return str(error.value)


def test_one_search_for_each_model_and_data_set_and_a_case_for_each_seed_and_target(tmp_path):
    cases, searches = expanded(tmp_path, targets=[{"device": "cpu", "batch_size": [1, 2]}])
    assert [search.name for search in searches] == ["fake/trains on shapes"]
    assert sorted(case.id for case in cases) == sorted(case.id for case in searches[0].finals)
    assert {case.model.label for case in cases} == {"fake/trains tuned seed 1", "fake/trains tuned seed 2"}
    assert len(cases) == 4


def test_lists_in_the_recipe_and_folds_have_searches_of_their_own(tmp_path):
    folder = {"name": "shapes", "label": "b", "options": {"size": [32, 32]}}
    _, searches = expanded(
        tmp_path, datasets=["shapes", folder], recipe={"budget": {"steps": 3}, "loss": ["dice", "cross_entropy"]}
    )
    assert [search.name for search in searches] == [
        f"fake/trains loss={loss} on {data}" for data in ("shapes", "b") for loss in ("dice", "cross_entropy")
    ]


def test_a_trial_has_the_validation_split_in_the_place_of_the_test_split(tmp_path):
    _, [search] = expanded(tmp_path, datasets=[{"name": "shapes", "max_images": 1}])
    trial = trial_case(search, 4, {"learning_rate": 0.05})
    assert (trial.dataset.test, trial.dataset.max_images) == ("val", None)
    assert (trial.recipe.learning_rate, trial.recipe.seed) == (0.05, 0)
    assert not trial.measurement.times
    finals = final_cases(search, {"learning_rate": 0.05})
    assert [(one.dataset.test, one.recipe.learning_rate, one.recipe.seed) for one in finals] == [
        ("test", 0.05, 1),
        ("test", 0.05, 2),
    ]


def test_a_field_within_a_field_is_set_by_its_path():
    recipe = Recipe.model_validate({"budget": {"steps": 1}})
    assert with_values(recipe, {"augmentation.rotate_deg": 7.0}).augmentation.rotate_deg == 7.0


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [0.1, 0.2]}, "Did you mean 'learning_rate'"),
        ({"augmentation.rotate": [1, 2]}, "Did you mean 'augmentation.rotate_deg'"),
        ({"seed": [1, 2]}, "seed is not searched: it would choose the luckiest"),
        ({"budget.steps": [1, 2]}, "budget is not searched"),
        ({"learning_rate": {"low": -1, "high": 1}}, "-1.0: input should be greater than 0"),
        ({"batch_size": {"low": 1.5, "high": 4}}, "expected whole numbers, not 1.5"),
        ({"optimizer": ["sgd", "sdg"]}, '"sdg": input should be'),
        ({"loss": ["dice", "dyce"]}, "dyce"),
    ],
)
def test_a_wrong_space_is_told_with_its_place(tmp_path, space, message):
    said = usage_errors(tmp_path, tune={**TUNE, "space": space})
    assert message in said
    assert "suite.yaml" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune": {"space": TUNE["space"]}}, "needs a budget: trials, hours or both"),
        ({"tune": {**TUNE, "space": {"learning_rate": {"low": 1, "high": 1}}}}, "low must be below high"),
        ({"tune": {**TUNE, "space": {"loss": ["dice"]}}}, "at least two choices"),
        ({"tune": {**TUNE, "sampler": "tree"}}, "input should be 'tpe'"),
        ({"tune": {**TUNE, "trails": 3}}, "Did you mean 'trials'"),
    ],
)
def test_a_wrong_search_is_told_when_the_suite_is_read(tmp_path, changes, message):
    with pytest.raises(SuiteError, match=message):
        load_suite(written(tmp_path, **changes))


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    said = usage_errors(
        tmp_path,
        seeds=[0],
        datasets=[{"name": "shapes", "val": "test"}],
        recipe={"budget": {"steps": 3}, "learning_rate": 0.1, "validate_every": None},
        tune={**TUNE, "sampler": "cmaes", "metric": "mean_io", "space": {**TUNE["space"], "loss": ["dice", "focal"]}},
    )
    for part in (
        "expected at least 2, for example seeds: [1, 2, 3]",
        "is validated and tested on the split 'test'",
        "the suite's recipe sets this field, too",
        "recipe.validate_every is null",
        "sampler cmaes searches ranges of numbers",
        "Did you mean 'mean_iou'",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 1]}, "0 is the seed of the trials"),
        ({"recipe": None}, "there is none. Add 'recipe'"),
        ({"models": ["fake/perfect"]}, "no model of the suite is trained by its recipe"),
        ({"models": [{"name": "fake/trains", "recipe": {"learning_rate": 0.1}}]}, r"models[0].recipe sets this field"),
    ],
)
def test_what_leaves_nothing_to_search_is_told(tmp_path, changes, message):
    assert message in usage_errors(tmp_path, **changes)
