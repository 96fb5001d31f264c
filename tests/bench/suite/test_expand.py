"""Suite -> cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.records import Case
from bench.suite.expand import expand
from bench.suite.load import load_suite


def cases(tmp_path: Path, text: str, device: str = "cpu") -> tuple[Case, ...]:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return expand(load_suite(path), auto_device=device, source=path)


TWO_BY_TWO = """
models: [unet/transposed, unet/bilinear]
datasets: [shapes]
targets: [{device: cpu, precision: [fp32, bf16], batch_size: [1, 4]}]
"""


def test_every_model_meets_every_target_and_ids_are_unique_and_repeatable(tmp_path):
    found = cases(tmp_path, TWO_BY_TWO)
    assert len({case.id for case in found}) == 8
    assert found == cases(tmp_path, TWO_BY_TWO)


def test_exclude_leaves_out_cases_in_which_every_given_field_matches(tmp_path):
    found = cases(tmp_path, TWO_BY_TWO + "exclude: [{model: '*/bilinear', precision: bf16}]\n")
    left_out = {(c.model.name, c.target.precision) for c in cases(tmp_path, TWO_BY_TWO)} - {
        (c.model.name, c.target.precision) for c in found
    }
    assert left_out == {("unet/bilinear", "bf16")}


def test_when_keeps_a_model_to_matching_cases(tmp_path):
    text = """
models: [unet/transposed, {name: unet/bilinear, when: {batch_size: 4}}]
datasets: [shapes]
targets: [{device: cpu, batch_size: [1, 4]}]
"""
    found = [(c.model.name, c.target.batch_size) for c in cases(tmp_path, text)]
    assert found == [("unet/transposed", 1), ("unet/transposed", 4), ("unet/bilinear", 4)]


def test_device_auto_means_what_the_machine_has_for_running_and_for_training(tmp_path):
    text = "models: [unet/transposed]\ndatasets: [shapes]\nrecipe: {budget: {steps: 1}}\n"
    (case,) = cases(tmp_path, text, device="cuda")
    assert (case.target.device, case.recipe.device) == ("cuda", "cuda")


def test_a_target_that_auto_makes_equal_to_another_is_not_run_twice(tmp_path):
    text = "models: [unet/transposed]\ndatasets: [shapes]\ntargets: [{device: auto}, {device: cpu}]\n"
    assert len(cases(tmp_path, text)) == 1


def test_a_model_overrides_the_recipe_and_the_cards_options(tmp_path):
    text = """
models: [{name: unet/transposed, options: {base_width: 4}, recipe: {learning_rate: 0.5}}]
datasets: [shapes]
recipe: {budget: {steps: 1}, batch_size: 3}
"""
    (case,) = cases(tmp_path, text)
    assert case.model.options["base_width"] == 4
    assert (case.recipe.learning_rate, case.recipe.batch_size) == (0.5, 3)


def test_fakes_are_not_trained(tmp_path):
    text = "models: [fake/perfect]\ndatasets: [shapes]\nrecipe: {budget: {steps: 1}}\n"
    assert cases(tmp_path, text)[0].recipe is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [unet/transpose]\ndatasets: [shapes]\n", "models[0]: no model named 'unet/transpose'. Did you mean"),
        ("models: [unet/transposed]\ndatasets: [shape]\n", "no data set named 'shape'. Did you mean 'shapes'?"),
        (
            "models: [unet/transposed]\ndatasets: [shapes]\nmetrics: [mean_iuo]\n",
            "metrics[0]: no metric named 'mean_iuo'. Did you mean 'mean_iou'?",
        ),
        ("models: [unet/bilinear, unet/bilinear]\ndatasets: [shapes]\n", "'unet/bilinear' occurs more than once"),
        (
            "models: [{name: unet/bilinear, recipe: {batchsize: 3}}]\ndatasets: [shapes]\n"
            "recipe: {budget: {steps: 1}}\n",
            "models[0].recipe.batchsize: Extra inputs are not permitted. Did you mean 'batch_size'?",
        ),
        (
            "models: [unet/bilinear]\ndatasets: [shapes]\nexclude: [{model: '*'}]\n",
            "'when' and 'exclude' leave no case",
        ),
        ("models: [unet/bilinear]\ndatasets: [shapes]\ntask: panoptic\n", "cannot be scored as panoptic"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_path_and_the_nearest_name(tmp_path, text, expected):
    with pytest.raises(SuiteError) as caught:
        cases(tmp_path, text)
    assert expected in str(caught.value)
