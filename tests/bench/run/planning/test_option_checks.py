"""Tests that errors in options and losses are told before anything is trained, all of them in one go."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from adapters._torch.loss_grammar import KNOWN
from adapters._torch.training.losses import LOSSES
from bench.adapter import load_light
from bench.errors import SuiteError
from bench.records.names import harness_root
from bench.run.planning.check import checked
from bench.suite.load import load_suite

BASE = "datasets: [{name: shapes, options: {train: 2, val: 2, test: 2}}]\n"


def said(tmp_path, text):
    file = tmp_path / "suite.yaml"
    file.write_text(BASE + text)
    with pytest.raises(SuiteError) as refused:
        checked(load_suite(file), file)
    return str(refused.value)


def test_unknown_losses_and_options_of_several_models_are_told_together(tmp_path):
    text = said(
        tmp_path,
        "models: [{name: smp/unet_resnet18, options: {encoder_name: a}}, {name: unet/bilinear, options: {depht: 3}}]\n"
        "recipe: {loss: focal_loss, budget: {steps: 1}}\n",
    )
    assert "Did you mean 'encoder'?" in text
    assert "Did you mean 'depth'?" in text
    assert "Did you mean 'focal'?" in text


def test_an_unknown_key_does_not_hide_an_unknown_model_and_an_unknown_loss(tmp_path):
    text = said(tmp_path, "models: [unet/resnet34]\nrecipe: {batchsize: 2, loss: focal_loss, budget: {steps: 1}}\n")
    assert "recipe.batchsize (line 3): unknown key. Did you mean 'batch_size'?" in text
    assert "models[0] (line 2): no model named 'unet/resnet34'" in text
    assert "recipe.loss (line 3): loss 'focal_loss': no loss named" in text


def test_unknown_names_do_not_hide_wrong_options_losses_and_weights_of_the_other_models(tmp_path):
    models = "[unet/resnet34, {name: unet/bilinear, options: {depht: 3}}, {name: unet/nearest, weights: no.pt}]"
    text = said(
        tmp_path, f"models: {models}\nmetrics: [mean_iuo]\nrecipe: {{loss: focal_loss, budget: {{steps: 1}}}}\n"
    )
    for part in (
        "models[0] (line 2): no model named 'unet/resnet34'",
        "metrics[0] (line 3): no metric named 'mean_iuo'",
        "(line 2): unet/bilinear: no option named 'depht'. Did you mean 'depth'?",
        f"unet/nearest: there are no weights at {tmp_path / 'no.pt'}",
        "recipe (line 4): loss 'focal_loss'",
    ):
        assert part in text


def test_an_unknown_data_set_does_not_hide_wrong_options(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("datasets: [{name: shapez}]\nmodels: [{name: unet/bilinear, options: {depht: 3}}]\n")
    with pytest.raises(SuiteError) as refused:
        checked(load_suite(file), file)
    assert "no data set named 'shapez'" in str(refused.value)
    assert "no option named 'depht'" in str(refused.value)


def test_the_check_and_the_trainer_know_the_same_losses_with_the_same_arguments():
    assert set(KNOWN) == set(LOSSES)
    for name, usage in KNOWN.items():
        if name != "weighted_cross_entropy":  # made of the pixels of the split, with no arguments of a term
            ours, theirs = (inspect.signature(one).parameters for one in (usage.check, LOSSES[name]))
            assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def test_checking_options_imports_no_framework():
    names = sorted(
        f.parent.name for f in (harness_root() / "adapters").glob("*/options.py") if f.parent.name != "_torch"
    )
    assert all(hasattr(load_light(name, "options"), "usage_errors") for name in names)
    code = (
        f"import sys; from bench.adapter import load_light; [load_light(n, 'options') for n in {names}]; "
        "import adapters._torch.loss_grammar; "
        "print([m for m in ('torch', 'ultralytics', 'transformers', 'torchvision', 'detectron2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=harness_root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
