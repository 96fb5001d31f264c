"""Lists in a recipe multiply the cases, and each case says in its label what it was trained with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bench.errors import SuiteError
from bench.suite.expand import expand
from bench.suite.load import load_suite
from bench.suite.schema import suite_schema


def cases(tmp_path: Path, recipe, model="fake/trains", **more):
    document = {"models": [model], "datasets": ["shapes"], "recipe": {"budget": {"steps": 3}, **recipe}, **more}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return expand(load_suite(path), auto_device="cpu", source=path)


def labels(tmp_path, recipe, **more):
    return [case.model.label for case in cases(tmp_path, recipe, **more)]


def test_every_combination_is_a_case_with_its_own_label_and_recipe(tmp_path):
    found = cases(tmp_path, {"learning_rate": [0.01, 0.001], "loss": ["cross_entropy", "dice"]})
    assert [(c.model.label, c.recipe.learning_rate, c.recipe.loss) for c in found] == [
        ("fake/trains learning_rate=0.01 loss=cross_entropy", 0.01, "cross_entropy"),
        ("fake/trains learning_rate=0.01 loss=dice", 0.01, "dice"),
        ("fake/trains learning_rate=0.001 loss=cross_entropy", 0.001, "cross_entropy"),
        ("fake/trains learning_rate=0.001 loss=dice", 0.001, "dice"),
    ]
    assert len({c.id for c in found}) == 4


def test_a_recipe_without_lists_gives_the_case_it_always_gave(tmp_path):
    [case] = cases(tmp_path, {"learning_rate": 0.01})
    assert case.model.label == "fake/trains"
    assert case.recipe.learning_rate == 0.01
    assert labels(tmp_path, {"learning_rate": [0.01]}) == ["fake/trains"]


def test_what_is_listed_twice_is_one_case(tmp_path):
    assert len(cases(tmp_path, {"batch_size": [4, 8, 4]})) == 2


def test_seeds_multiply_once_more_and_stand_at_the_end(tmp_path):
    found = labels(tmp_path, {"flip": [True, False]}, seeds=[1, 2])
    assert found == [f"fake/trains flip={word} seed {seed}" for word in ("yes", "no") for seed in (1, 2)]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"budget": [{"steps": 3}, {"steps": 9}]}, ["budget=steps:3", "budget=steps:9"]),
        ({"budget": [{"steps": 3}, {"epochs": 2}]}, ["budget=steps:3", "budget=epochs:2"]),
        ({"image_size": [[32, 32], [64, 48]]}, ["image_size=32x32", "image_size=64x48"]),
        ({"image_size": [[32, 32], None]}, ["image_size=32x32", "image_size=none"]),
        ({"early_stopping": [None, 3]}, ["early_stopping=none", "early_stopping=3"]),
        ({"augmentation": [{}, {"rotate_deg": 10}]}, ["augmentation=rotate_deg:0", "augmentation=rotate_deg:10"]),
    ],
)
def test_labels_say_what_differs(tmp_path, recipe, expected):
    assert labels(tmp_path, recipe) == [f"fake/trains {words}" for words in expected]


def test_one_size_is_no_list_of_two(tmp_path):
    [case] = cases(tmp_path, {"image_size": [32, 48]})
    assert tuple(case.recipe.image_size) == (32, 48)
    own = {"name": "fake/trains", "recipe": {"image_size": [64, 64], "batch_size": [1, 2]}}
    assert labels(tmp_path, {"image_size": [32, 48]}, model=own) == [
        "fake/trains batch_size=1",
        "fake/trains batch_size=2",
    ]


def test_a_models_own_value_takes_the_place_of_the_suites_list(tmp_path):
    own = {"name": "fake/trains", "recipe": {"learning_rate": 0.5}}
    [case] = cases(tmp_path, {"learning_rate": [0.01, 0.001]}, model=own)
    assert (case.model.label, case.recipe.learning_rate) == ("fake/trains", 0.5)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"learning_rate": [0.01, -1]}, r"recipe\.learning_rate\[1\] \(line \d+\): input should be greater than 0"),
        ({"loss": []}, r"recipe\.loss \(line \d+\): must not be an empty list"),
        ({"learning_rat": [0.1]}, "Did you mean 'learning_rate'"),
        ({"devices": [1, 2], "frozen_backbone_fraction": 0.5}, r"recipe \(line \d+\): .*devices"),
        ({"optimizer": "sdg"}, r"recipe\.optimizer \(line \d+\): input should be 'sgd'"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(tmp_path, recipe, message):
    with pytest.raises(SuiteError, match=message):
        cases(tmp_path, recipe)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"batch_size": []}, r"batch_size: must not be an empty list"),
        ({"batch_siz": [1]}, "Did you mean 'batch_size'"),
        ({"devices": 2, "frozen_backbone_fraction": 0.5}, "recipe: "),
    ],
)
def test_a_wrong_value_of_a_model_is_told_with_its_place(tmp_path, own, message):
    with pytest.raises(SuiteError, match=rf"models\[0\]\.recipe\.{message}|{message}"):
        cases(tmp_path, {}, model={"name": "fake/trains", "recipe": own})


def test_editors_know_that_a_field_may_be_a_list():
    fields = json.loads(suite_schema())["$defs"]["Recipe"]["properties"]
    one, several = fields["learning_rate"]["anyOf"]
    assert (one["exclusiveMinimum"], several["type"]) == (0, "array")
