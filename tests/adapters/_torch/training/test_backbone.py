"""A backbone that learns more slowly, or later, against the weights of the steps themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.training.semantic import fit
from bench.adapter import load_light
from bench.errors import Unsupported
from bench.records import Budget, Recipe
from bench.suite.model_configs import resolve_model
from tests.adapters._torch.training.test_loop import Killed, KilledAt, same, state
from tests.adapters.rectangles import Recorder, rectangles, short_recipe

PLAIN = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "warmup_fraction": 0.0}
ONE_STEP = {"budget": Budget(steps=1), "validate_every": None, "learning_rate": 0.1, **PLAIN}


class Parts(nn.Module):
    """A backbone with running statistics, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, pixels):
        return self.head(self.backbone(pixels))


def network(backbone=("backbone.",)):
    torch.manual_seed(0)
    return SemanticNetwork(Parts(), Head(3), {"network": "parts"}, ("ground", "red", "green"), backbone=backbone)


def steps_of(folder, **changes):
    """How far each tensor moved in a training."""
    start = {name: tensor.clone() for name, tensor in network().module.state_dict().items()}
    fit(network(), rectangles(), short_recipe(**changes), folder, Recorder())
    return {name: (tensor - start[name]).float() for name, tensor in state(folder / "last.pt").items()}


@pytest.mark.slow
@pytest.mark.parametrize("clip", [None, 1e6])
def test_a_step_of_the_backbone_is_its_factor_times_as_long_and_that_of_the_head_is_not(tmp_path, clip):
    whole = steps_of(tmp_path / "whole", clip_gradient_norm=clip, **ONE_STEP)
    slow = steps_of(tmp_path / "slow", clip_gradient_norm=clip, backbone_learning_rate_factor=0.25, **ONE_STEP)
    for name in ("backbone.0.weight", "backbone.1.bias", "head.weight"):
        factor = 1.0 if name.startswith("head") else 0.25
        assert whole[name].abs().max() > 1e-4
        torch.testing.assert_close(slow[name], factor * whole[name], rtol=1e-3, atol=1e-6)


def test_a_frozen_backbone_keeps_weights_and_statistics_until_its_share_of_the_budget_is_spent(tmp_path):
    recipe = {"frozen_backbone_fraction": 0.5, **ONE_STEP, "validate_every": 1}
    seen = {}

    class Watching(Recorder):
        def step(self, **step):
            super().step(**step)
            seen[step["step"]] = {name: t.clone() for name, t in watched.module.state_dict().items()}

    watched, start = network(), network().module.state_dict()
    fit(watched, rectangles(), short_recipe(**{**recipe, "budget": Budget(steps=4)}), tmp_path, Watching())
    end = state(tmp_path / "last.pt")
    # Steps are told now and then; the first always is, and lies in the frozen half.
    for name, tensor in seen[1].items():
        assert torch.equal(tensor, start[name]) == name.startswith("backbone.")
    assert not torch.equal(end["backbone.0.weight"], start["backbone.0.weight"])
    assert end["backbone.1.num_batches_tracked"] == 2  # of four steps, the two that were not frozen


def test_a_training_that_was_killed_while_its_backbone_was_frozen_ends_as_one_that_was_not(tmp_path):
    recipe = short_recipe(
        budget=Budget(steps=6), frozen_backbone_fraction=0.5, backbone_learning_rate_factor=0.1, checkpoint_every_s=1e-9
    )
    fit(network(), rectangles(), recipe, tmp_path / "whole", Recorder())
    with pytest.raises(Killed):
        fit(network(), rectangles(), recipe, tmp_path / "killed", KilledAt(1))
    fit(network(), rectangles(), recipe, tmp_path / "killed", Recorder())
    assert same(tmp_path / "whole/last.pt", tmp_path / "killed/last.pt")


@pytest.mark.parametrize("change", [{"backbone_learning_rate_factor": 0.1}, {"frozen_backbone_fraction": 0.5}])
def test_a_network_without_a_backbone_refuses_to_treat_it_otherwise(tmp_path, change):
    with pytest.raises(Unsupported, match="no backbone apart from the rest"):
        fit(network(backbone=()), rectangles(), short_recipe(**change), tmp_path, Recorder())


def test_several_devices_do_not_share_a_backbone_that_thaws():
    with pytest.raises(ValueError, match="frozen_backbone_fraction needs devices: 1"):
        short_recipe(frozen_backbone_fraction=0.5, devices=2)


@pytest.mark.parametrize(
    "name", ["unet/transposed", "monai/dynunet", "ultralytics/yolo11n_seg", "transformers/clipseg_small"]
)
@pytest.mark.parametrize("field", ["backbone_learning_rate_factor", "frozen_backbone_fraction"])
def test_models_without_a_backbone_refuse_the_fields_before_anything_runs(name, field):
    model, recipe = resolve_model(name), Recipe(budget=Budget(steps=1), **{field: 0.5})
    refusals = load_light(model.adapter, "options").abilities(model).training_refusals(recipe)
    assert any(f"leave '{field}' out" in clause for clause in refusals)
