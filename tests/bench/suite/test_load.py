"""Tests what a suite file may say, and what the harness answers when it says something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.suite.load import load_suite
from bench.suite.schema import suite_schema

MINIMAL = "models: [unet/transposed]\ndatasets: [shapes]\n"


def write(tmp_path: Path, text: str, name: str = "x.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(SuiteError) as caught:
        load_suite(write(tmp_path, text))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_name_stands_for_a_mapping_and_a_value_for_a_list(tmp_path):
    short = load_suite(write(tmp_path, "models: unet/transposed\ndatasets: shapes\ntargets: {precision: fp32}\n"))
    long = load_suite(
        write(
            tmp_path, "models: [{name: unet/transposed}]\ndatasets: [{name: shapes}]\ntargets: [{precision: [fp32]}]\n"
        )
    )
    assert short == long


def test_a_suite_without_a_name_is_called_like_its_file(tmp_path):
    assert load_suite(write(tmp_path, MINIMAL, "mine.yaml")).name == "mine"


def test_an_unknown_key_is_refused_with_its_path_its_line_and_the_nearest_name(tmp_path):
    said = complaint(tmp_path, MINIMAL + "measurement:\n  replicats: 2\n")
    assert said.startswith("x.yaml: measurement.replicats (line 4): unknown key. Did you mean 'replicates'?")


def test_an_unknown_key_in_a_list_entry_is_named_by_its_index(tmp_path):
    said = complaint(tmp_path, "models:\n  - {name: a, lable: b}\ndatasets: [shapes]\n")
    assert said.startswith("x.yaml: models[0].lable (line 2): unknown key. Did you mean 'label'?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("targets: {batch_size: '2'}\n", "targets.batch_size (line 3): input should be a valid integer. Given: '2'."),
        ("targets: {precision: fp17}\n", "'fp16', 'bf16' or 'int8'. Given: 'fp17'."),
        ("recipe: {budget: {}}\n", "recipe.budget (line 3): a budget needs at least one of epochs, steps and seconds."),
        (
            "recipe: {budget: {seconds: 0}}\n",
            "recipe.budget.seconds (line 3): input should be greater than 0. Given: 0.",
        ),
        ("targets: {image_size: 96}\n", "targets.image_size (line 3): expected [height, width] in pixels"),
        ("metrics: []\n", "metrics (line 3): must not be an empty list."),
        ("seed: 1\nseed: 2\n", "line 4: the key 'seed' stands twice"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(tmp_path, text, expected):
    assert expected in complaint(tmp_path, MINIMAL + text)


def test_a_missing_key_says_what_it_is_for(tmp_path):
    assert complaint(tmp_path, "models: [unet/bilinear]\n") == (
        "x.yaml: datasets: is missing. Data sets to compare on; list them with: bench list datasets"
    )


def test_a_file_that_is_not_there_names_the_nearest_that_is(tmp_path):
    write(tmp_path, MINIMAL, "semantic.yaml")
    with pytest.raises(SuiteError, match=r"there is no such suite file. Did you mean 'semantic.yaml'\?"):
        load_suite(tmp_path / "semantik.yaml")


@pytest.mark.parametrize("text", ["models: [a\n", "- 1\n", "models: [2026-01-01]\ndatasets: [b]\n", "models: .nan\n"])
def test_what_is_not_a_suite_at_all_is_one_paragraph(tmp_path, text):
    assert "\n" not in complaint(tmp_path, text)


def test_a_suite_starts_from_the_one_it_extends_and_lists_are_replaced(tmp_path):
    write(tmp_path, MINIMAL + "recipe: {budget: {epochs: 3}, batch_size: 4}\nmetrics: [mean_iou, dice]\n", "base.yaml")
    suite = load_suite(write(tmp_path, "extends: base.yaml\nrecipe: {batch_size: 2}\nmetrics: [dice]\n"))
    assert (suite.name, suite.recipe.batch_size, suite.recipe.budget[0].epochs) == ("x", (2,), 3)
    assert suite.metrics == ("dice",)


def test_suites_that_extend_each_other_are_refused(tmp_path):
    write(tmp_path, "extends: x.yaml\n", "y.yaml")
    assert "extends itself (x.yaml -> y.yaml -> x.yaml)" in complaint(tmp_path, "extends: y.yaml\n")


def test_quick_shortens_the_protocol_but_yields_to_what_is_set(tmp_path):
    quick = load_suite(write(tmp_path, MINIMAL + "measurement: {quick: true, replicates: 2}\n")).measurement
    assert (quick.quick, quick.replicates) == (True, 2)
    assert quick.min_s < load_suite(write(tmp_path, MINIMAL)).measurement.min_s


def test_the_shipped_schema_is_the_one_that_the_command_prints():
    assert Path("suites/suite.schema.json").read_text(encoding="utf-8") == suite_schema()
    json.loads(suite_schema())


@pytest.mark.parametrize("suite", sorted(Path("suites").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_suite_loads_and_points_editors_to_the_schema(suite):
    assert load_suite(suite).name == suite.stem
    assert suite.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=suite.schema.json\n")
