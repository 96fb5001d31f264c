"""Tests that what cannot be had is told before anything is trained: targets, recipes, metrics, with their lines."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.records import Recipe, Size, SlidingWindow, Target
from bench.records.abilities import Abilities
from bench.run.planning.check import checked
from bench.suite.load import load_suite

DATA = "datasets: [{name: shapes, options: {preset: easy, size: [32, 32], train: 2, val: 2, test: 2}}]\n"


def notes_of(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text + DATA, encoding="utf-8")
    return list(checked(load_suite(file), file).notes)


def usage_errors_of(tmp_path, text):
    with pytest.raises(BenchError) as caught:
        notes_of(tmp_path, text)
    return str(caught.value).split("\n\n")


def test_a_model_that_no_target_can_run_is_a_usage_error_with_its_line(tmp_path):
    text = "models:\n  - unet/classic\n  - detectron2/fcn\ntargets: [{device: cpu, runtime: onnxruntime}]\n"
    (told,) = usage_errors_of(tmp_path, text)
    assert told.startswith(f"{tmp_path / 'a.yaml'}: detectron2/fcn (line 3): no target of the suite can run it: ")
    assert "no runtime onnxruntime" in told


def test_a_target_that_only_some_models_can_run_is_noted_and_the_rest_is_measured(tmp_path):
    text = "models: [unet/classic]\ntargets: [{device: cpu, precision: [fp32, fp16]}]\n"
    (note,) = notes_of(tmp_path, text)
    assert note == (
        "unet/classic will be 'unsupported' on cpu fp16 b1: it has no fp16 on a CPU with runtime eager; "
        "it has fp32, bf16"
    )


def test_everything_that_is_wrong_is_told_in_one_go(tmp_path):
    text = (
        "models: [{name: unet/classic, options: {base_widht: 8}}, transformers/mask2former_semantic]\n"
        "recipe: {budget: {steps: 1}, device: cpu, precision: fp16, devices: 2, loss: focal_loss}\n"
        "metrics: [mean_iou, mask_ap]\n"
        "loggers: [neptune]\n"
    )
    told = "\n".join(usage_errors_of(tmp_path, text))
    for part in (
        "a.yaml (line 1): unet/classic: no option named 'base_widht'. Did you mean 'base_width'?",
        "a.yaml: recipe (line 2): loss 'focal_loss'",
        "mask2former_semantic (line 1): recipe: precision fp16 needs a CUDA device",
        "mask2former_semantic (line 1): recipe: it is trained on one device; leave 'devices' out",
        "metrics[1] (line 3): mask_ap scores instance predictions",
        "loggers[0] (line 4): no logger named 'neptune'",
    ):
        assert part in told


def test_a_metric_that_needs_a_package_which_is_not_there_is_a_usage_error_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.run.planning.plugin_checks.find_spec", lambda name: None)
    (told,) = usage_errors_of(tmp_path, "models: [fake/perfect]\nmetrics: [mean_iou, cldice]\n")
    assert "metrics[1] (line 2): cldice needs the package skimage" in told
    assert told.endswith("pip install 'segbench[topology]'")


def test_a_tolerance_that_is_none_is_a_usage_error_with_its_line(tmp_path):
    told = "\n".join(usage_errors_of(tmp_path, "models: [fake/perfect]\nmetrics: [nsd@0, 'dice@2', nsd@1.5]\n"))
    assert "metrics[0] (line 2): 'nsd@0' sets the tolerance '0'; a number above 0 is expected" in told
    assert "metrics[1] (line 2): metric 'dice' has no tolerance: write dice, not dice@2" in told
    assert "metrics[2]" not in told


def test_a_field_of_a_recipe_that_a_trainer_passes_over_is_noted(tmp_path):
    text = "models: [detectron2/fcn, unet/classic]\nrecipe: {budget: {steps: 1}, accumulate: 2}\n"
    assert notes_of(tmp_path, text) == [
        "detectron2/fcn: recipe: 'accumulate' is not honoured: Detectron2's trainer does not offer it"
    ]


def test_a_device_that_is_not_here_is_noted_as_the_suite_may_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.measure.devices.auto_device", lambda: "cpu")
    (note,) = notes_of(tmp_path, "models: [unet/classic]\ntargets: [{device: 'cuda:1'}]\n")
    assert note.startswith("targets: there is no cuda device here")


@pytest.mark.parametrize(
    ("able", "target", "reason"),
    [
        (Abilities(), Target(), None),
        (Abilities(), Target(precision="bf16"), None),
        (Abilities(), Target(precision="tf32"), "no tf32 on a CPU"),
        (Abilities(), Target(device="cuda", precision="tf32"), None),
        (Abilities(), Target(device="mps", precision="tf32"), "tf32 needs a CUDA device"),
        (Abilities(), Target(precision="int8"), "not by runtime eager"),
        (Abilities(), Target(precision="int8", runtime="openvino"), None),
        (Abilities(int8=False), Target(precision="int8", runtime="openvino"), "not quantised here"),
        (Abilities(), Target(runtime="tensorrt"), "runs on CUDA devices"),
        (Abilities(), Target(device="cuda", runtime="tensorrt"), None),
        (Abilities(), Target(device="cuda", runtime="openvino"), "runs on the CPU"),
        (Abilities(), Target(runtime="openvino", channels_last=True), "its own memory layout"),
        (Abilities(), Target(channels_last=True), None),
        (Abilities(several_passes=False), Target(window=SlidingWindow(size=Size(8, 8))), "leave window out"),
        (Abilities(side=64), Target(image_size=Size(64, 64)), None),
        (Abilities(side=64), Target(image_size=Size(64, 32)), "at 64 x 64, not at 64 x 32"),
        (Abilities(devices=("cpu",)), Target(device="cuda:1"), "it runs on cpu"),
        (Abilities(precisions={"openvino": ("fp16",)}), Target(runtime="openvino", precision="fp16"), None),
    ],
)
def test_a_target_is_refused_for_one_reason_or_none(able, target, reason):
    found = able.refusals(target)
    assert len(found) == (reason is not None)
    assert reason is None or reason in found[0]


def test_a_recipe_that_sets_nothing_passes_nothing_over():
    able = Abilities(not_honoured={"accumulate": "it does not"})
    recipe = Recipe.model_validate({"budget": {"steps": 1}})
    assert able.passed_over(recipe) == {}
    assert able.passed_over(recipe.model_copy(update={"accumulate": 2})) == {"accumulate": "it does not"}
