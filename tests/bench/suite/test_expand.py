"""Suite -> cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.adapter import ADAPTERS_VARIABLE
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


def test_a_model_overrides_the_recipe_and_the_configs_options(tmp_path):
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
            'models: [unet/bilinear, {name: unet/transposed, label: "unet/bi\\u200blinear"}]\ndatasets: [shapes]\n',
            "'unet/bilinear' occurs more than once",
        ),
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


def test_relative_weights_begin_at_the_file_that_names_them(tmp_path, monkeypatch):
    folder = tmp_path / "adapters" / "mine" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "adapter.py").write_text("")
    (folder / "net.yaml").write_text("description: Mine\ntask: semantic\nweights: ../net.pt\n")
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(tmp_path / "adapters"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = (
        "models: [mine/net, {name: mine/net, label: b, weights: b.pt}, {name: mine/net, label: c, weights: ~/c.pt}]\n"
    )
    found = cases(tmp_path, text + "datasets: [shapes]\n")
    assert [case.model.weights for case in found] == [
        str(path) for path in (folder.parent / "net.pt", tmp_path / "b.pt", tmp_path / "home" / "c.pt")
    ]


def test_relative_paths_in_the_options_of_a_model_config_begin_at_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "adapters" / "mine" / "models"
    (folder / "weights").mkdir(parents=True)
    (folder.parent / "adapter.py").write_text("")
    (folder / "net.yaml").write_text(
        "description: Mine\ntask: semantic\noptions: {pretrained: weights, config: net.yaml}\n"
    )
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(tmp_path / "adapters"))
    (found,) = cases(tmp_path, "models: [mine/net]\ndatasets: [shapes]\n")
    assert found.model.options == {"pretrained": str(folder / "weights"), "config": str(folder / "net.yaml")}


SEEDED = """
models: [unet/transposed, {name: unet/bilinear, weights: x.pt}]
datasets: [shapes]
recipe: {budget: {steps: 1}, seed: 7}
"""


def test_several_seeds_train_a_model_once_each_and_leave_models_with_weights_alone(tmp_path):
    found = cases(tmp_path, SEEDED + "seeds: [0, 3]\n")
    assert [(c.model.label, c.recipe and c.recipe.seed) for c in found] == [
        ("unet/transposed seed 0", 0),
        ("unet/transposed seed 3", 3),
        ("unet/bilinear", None),
    ]
    assert len({case.id for case in found}) == 3


def test_without_seeds_the_recipes_own_counts(tmp_path):
    found = cases(tmp_path, SEEDED)
    assert [(c.model.label, c.recipe and c.recipe.seed) for c in found] == [
        ("unet/transposed", 7),
        ("unet/bilinear", None),
    ]


def test_a_seed_named_twice_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"seeds .*names a value twice: \[1, 1\]"):
        cases(tmp_path, SEEDED + "seeds: [1, 1]\n")


def named(tmp_path, target):
    text = f"models: [unet/transposed]\ndatasets: [shapes]\ntargets: {target}\n"
    return [case.id.removeprefix("unet/transposed@shapes@cpu fp32 b1").strip() for case in cases(tmp_path, text)]


def test_windows_and_test_time_augmentation_multiply_the_cases_and_stand_in_their_names(tmp_path):
    target = "{window: [null, {size: [512, 256], overlap: 0.25}], test_time: [null, {flip: true}]}"
    assert named(tmp_path, target) == ["", "flip", "w512x256+25%", "w512x256+25% flip"]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("{window: {size: [32, 32]}}", "w32x32"),
        ("{window: null, test_time: {scales: [0.5, 1, 1.5]}}", "x0.5,1,1.5"),
        ("{test_time: {flip: true, scales: [0.5, 1]}}", "x0.5,1 flip"),
        ("{test_time: {scales: [1]}}", "x1"),
        ("{image_size: [64, 64], window: {size: [32, 32]}, channels_last: true}", "64x64 w32x32 nhwc"),
        ("{window: {size: [32, 32], overlap: 0.3333}}", "w32x32+33.33%"),
    ],
)
def test_a_target_of_several_passes_has_a_short_name(tmp_path, target, name):
    assert named(tmp_path, target) == [name]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("{window: {size: 512}}", "targets.window.size (line 3): expected [height, width] in pixels"),
        ("{window: {size: [8, 8], overlap: 1}}", "targets.window.overlap (line 3): input should be less than 1"),
        ("{window: {overlap: 0.5}}", "targets.window.size: is missing"),
        ("{window: {size: [8, 8], overlaps: 0.5}}", "unknown key. Did you mean 'overlap'?"),
        ("{test_time: {scales: [1, 0.5]}}", "targets.test_time (line 3): scales needs rising factors above 0"),
        ("{test_time: {flips: true}}", "unknown key. Did you mean 'flip'?"),
    ],
)
def test_a_wrong_window_or_augmentation_is_named_with_what_was_expected(tmp_path, target, expected):
    with pytest.raises(SuiteError) as caught:
        named(tmp_path, target)
    assert expected in str(caught.value)


def test_runtimes_multiply_the_cases_and_stand_in_their_names(tmp_path):
    target = "{runtime: [eager, compile, onnxruntime, openvino]}"
    assert named(tmp_path, target) == ["", "compile", "onnxruntime", "openvino"]


def test_cases_are_left_out_by_their_runtime(tmp_path):
    target = "{runtime: [eager, onnxruntime]}\nexclude: {runtime: onnxruntime}"
    assert named(tmp_path, target) == [""]


def test_all_runtimes_share_one_training(tmp_path):
    text = """
models: [unet/transposed]
datasets: [shapes]
targets: {runtime: [eager, openvino]}
recipe: {budget: {steps: 1}}
"""
    eager, openvino = cases(tmp_path, text)
    assert eager.recipe == openvino.recipe
    assert (eager.target.runtime, openvino.target.runtime) == ("eager", "openvino")


def test_relative_paths_in_options_are_seen_from_the_suites_folder(tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "encoder.pt").touch()
    (found,) = cases(
        tmp_path,
        """
models: [{name: smp/unet_resnet18, options: {encoder_weights: my/encoder.pt, encoder: a/b}}]
datasets: [{name: folder, options: {root: data/mine}}]
""",
    )
    assert found.model.options["encoder_weights"] == str(tmp_path / "my" / "encoder.pt")
    assert found.model.options["encoder"] == "a/b"  # leads nowhere: a name with a slash
    assert found.dataset.options["root"] == str(tmp_path / "data" / "mine")


def test_a_data_set_looks_from_where_the_command_is_run_and_workers_do_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "models: [unet/transposed]\ndatasets: [carvana, {name: voc, options: {root: mine}}, shapes]\n"
    by_default, set_in_the_suite, drawn = (case.dataset for case in cases(tmp_path, text))
    assert by_default.options == {"root": str(tmp_path / "data" / "carvana")}
    assert set_in_the_suite.options == {"root": str(tmp_path / "mine")}
    assert drawn.options == {}


def test_int8_is_a_precision_of_targets_and_none_of_trainings(tmp_path):
    text = "models: [unet/transposed]\ndatasets: [shapes]\ntargets: {runtime: openvino, precision: int8}\n"
    (case,) = cases(tmp_path, text)
    assert case.target.precision == "int8"
    with pytest.raises(SuiteError, match=r"recipe\.precision.*input should be 'fp32', 'tf32', 'fp16' or 'bf16'"):
        cases(tmp_path, text + "recipe: {budget: {steps: 1}, precision: int8}\n")
